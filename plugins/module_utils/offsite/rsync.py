# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs rsync over ssh for an exact list of files, and puts its endings into words.

The list goes in by NUL-separated names, never by a pattern or a whole folder: what is not in it is
neither sent nor removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

from ..common import process
from ..common.messages import _, join
from . import ssh
from .ssh import Destination

# rsync(1), "EXIT VALUES", and errcode.h of its source for those from 124 on.
EXIT_WORDS = {
    1: _("syntax or usage error: this rsync does not know one of our options"),
    2: _("the two rsync speak no common protocol, or the account's shell prints text of its own"),
    3: _("a file or folder that was named could not be selected"),
    4: _("an action was asked for that one side was built without"),
    5: _("the protocol with the server could not be started"),
    6: _("the server could not write its log"),
    10: _("network error"),
    11: _("a file could not be read or written (is a disk full?)"),
    12: _("the data stream broke off"),
    13: _("the server could not report its own state"),
    14: _("error between processes on one host"),
    15: _("one of rsync's own processes crashed"),
    16: _("one of rsync's own processes was ended"),
    19: _("ended by signal SIGUSR1"),
    20: _("ended by a signal (SIGINT, SIGTERM or SIGHUP)"),
    21: _("one of rsync's own processes was lost"),
    22: _("out of memory"),
    23: _("some files were not transferred"),
    24: _("some files vanished before they were sent"),
    25: _("the limit of files to delete was reached"),
    30: _("no data came within the time limit"),
    35: _("the server's rsync service did not answer in time"),
    124: _("the command on the server failed"),
    125: _("the command on the server was ended by a signal"),
    126: _("the command on the server may not be run"),
    127: _("a program was not found: rsync on the server, or ssh here"),
    255: _("ssh could not reach the server"),
}
# Another try cannot help: wrong usage, missing programs, permissions.
_FINAL_CODES = {1, 2, 3, 4, 6, 22, 25, 126, 127}
_VANISHED = 24


@dataclasses.dataclass(frozen=True)
class Item:
    """One file that rsync did something about: its name as bytes gave it, and its size."""

    path: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Transfer:
    """One run of rsync.

    Attributes:
        code: its exit code; negative is the signal that ended it.
        words: in words why it failed, with what it said itself; empty on success.
        kind: one word for that, such as `rsync_23` or `host_key_changed`; empty on success.
        remedy: what to do about it; may be empty.
        again: whether another try may help.
        sent: the files that were sent, or would be.
        removed: the files that were moved aside, or would be.
        bytes_sent: bytes written to the server, rsync's own protocol included.
    """

    code: int
    words: str = ""
    kind: str = ""
    remedy: str = ""
    again: bool = False
    sent: tuple[Item, ...] = ()
    removed: tuple[Item, ...] = ()
    bytes_sent: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything in the list is done; vanished files are told by `code` 24."""
        return self.code == 0


def command(
    destination: Destination,
    source: str,
    *,
    old_folder: str,
    dry_run: bool,
    remove_missing: bool,
    progress: bool,
    durable: bool,
) -> list[str]:
    """The command line; the list of names is its standard input."""
    shell = " ".join("'" + word.replace("'", "''") + "'" for word in ssh.command(destination))
    gated = destination.mode == ssh.RESTRICTED
    target = "incoming" if gated else destination.path.rstrip("/")
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    arguments = [
        "rsync",
        # Behind the gate only these are let through; ownership and links are none of ours there.
        *(("--times", "--perms") if gated else ("--archive",)),
        "--files-from=-",
        "--from0",
        # Whole files appear under their final names only: rsync writes to a temporary name and
        # renames. What an interrupted run has sent waits here, and the next run goes on from it.
        "--partial-dir=.rsync-partial",
        *(() if gated else ("--backup", f"--backup-dir={old_folder}")),
        "--delete-missing-args" if remove_missing else "--ignore-missing-args",
        "--itemize-changes",
        "--out-format=%i %l %n",
        "--stats",
        "--no-human-readable",
        f"--timeout={destination.silence_seconds}",
        f"--rsh={shell}",
    ]
    if destination.bandwidth_kbps:
        arguments.append(f"--bwlimit={destination.bandwidth_kbps}")
    if destination.compress:
        arguments.append("--compress")
    if durable:
        arguments.append("--fsync")
    if dry_run:
        arguments.append("--dry-run")
    if progress:
        arguments += ["--info=progress2", "--no-inc-recursive"]
    source = os.path.join(source, "")
    return [*arguments, "--", source, f"{destination.user}@{host}:{target}/"]


class Sending:
    """One try to send files: rsync logs in at once, and is told later which.

    Args:
        destination: the server.
        source: the folder that names are relative to.
        old_folder: the folder on the server, relative to its path, that takes what is replaced.
        dry_run: only tell what would be done.
        remove_missing: a name that is not there is moved to `old_folder` on the server instead.
        durable: have every file written through to the server's disk before it gets its name.
        counted: whether it is to tell how far it is.
        keep_open: descriptors that rsync inherits: a lock that must outlive us while rsync runs.

    Raises:
        ResilienceError: rsync is not installed here.
    """

    def __init__(
        self,
        destination: Destination,
        source: str,
        *,
        old_folder: str,
        dry_run: bool = False,
        remove_missing: bool = False,
        durable: bool = False,
        counted: bool = False,
        keep_open: Sequence[int] = (),
    ) -> None:
        self.destination = destination
        arguments = command(
            destination,
            source,
            old_folder=old_folder,
            dry_run=dry_run,
            remove_missing=remove_missing,
            progress=counted,
            durable=durable,
        )
        with contextlib.ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self._running = stack.enter_context(
                process.started(
                    arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=ssh.environment(),
                    pass_fds=tuple(keep_open),
                )
            )
            self._open = stack.pop_all()

    def drop(self) -> None:
        """Ends it; it was told nothing, so it has sent nothing."""
        self._open.close()

    def send(self, names: Sequence[str], progress: Callable[[int], None] | None = None) -> Transfer:
        """Sends the files `names`; a name that is not there is passed over.

        Args:
            names: relative to the source.
            progress: called with the bytes of files done so far.
        """
        listed = b"".join(os.fsencode(name) + b"\0" for name in names)
        running = self._running
        with self._open:
            teller = process.feed(running, listed)
            lines, late = _lines(running, self.destination, progress)
            if late:
                process.end_group(running)
            code = running.wait()
            if code:
                # An rsync that gave up leaves its ssh behind, and that would hold our lock. What
                # the server said last is still on its way through it, though.
                _wait_for_group(running.pid)
                process.end_group(running)
            teller.join()
            self._errors.seek(0)
            said = self._errors.read(1 << 20).decode("utf-8", "backslashreplace")
        return judge(code, lines, said, late=late)


def _lines(
    running: subprocess.Popen[bytes],
    destination: Destination,
    progress: Callable[[int], None] | None,
) -> tuple[list[str], process.TooLong | None]:
    """What rsync writes, and why it is to be ended before its end. Progress is not among it.

    That nothing comes for a while is for rsync's own `--timeout` to say; but once all is sent,
    rsync 3.5 tells itself that the line is alive by what it sends. So what it has read counts: a
    server that works sends it something at least every half of `--timeout`.
    """
    lines: list[str] = []
    rest = b""
    heard: int | None = None
    end = time.monotonic() + destination.time_limit
    while True:
        left = max(0.0, end - time.monotonic())
        silence = min(left, destination.silence_seconds)
        try:
            for block in process.blocks(
                process.output_of(running), time_limit=left, silence=silence
            ):
                *whole, rest = re.split(rb"[\r\n]+", rest + block)
                for line in whole:
                    if found := re.match(rb"\s+(\d+)\s+\d+%\s", line):
                        if progress:
                            progress(int(found[1]))
                    elif line:
                        lines.append(os.fsdecode(line))
            return lines, None
        except process.TooLong as late:
            if time.monotonic() >= end:
                return lines, process.TooLong(destination.time_limit, silent=False)
            before, heard = heard, _bytes_read(running.pid)
            if late.silent and heard is not None and heard == before:
                return lines, late


def _wait_for_group(number: int) -> None:
    """Lets what is left of a process group end by itself, for two seconds at most."""
    end = time.monotonic() + 2
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < end:
            os.killpg(number, 0)
            time.sleep(0.05)


def _bytes_read(pid: int) -> int | None:
    """What a process has read so far, from files and pipes (proc(5), `rchar`), where it shows."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return None


_ITEM = re.compile(r"(?P<what>\*deleting  |[<>ch.*][fdLDS]\S{9}) (?P<bytes>\d+) (?P<name>.*)")


def judge(
    code: int, lines: Sequence[str], errors: str, *, late: process.TooLong | None = None
) -> Transfer:
    """What one run of rsync comes to. Pure.

    Args:
        code: its exit code, negative for a signal.
        lines: what it wrote on standard output.
        errors: what it and ssh wrote on standard error.
        late: why we ended it, where we did.
    """
    sent, removed, bytes_sent = [], [], 0
    for line in lines:
        if found := _ITEM.fullmatch(line):
            item = Item(_unescaped(found["name"]), int(found["bytes"]))
            if found["what"].startswith("*deleting"):
                removed.append(item)
            elif found["what"].startswith("<f"):
                sent.append(item)
        elif found := re.fullmatch(r"Total bytes sent: ([\d,.]+)", line):
            bytes_sent = int(re.sub(r"\D", "", found[1]))
    seen = Transfer(code, sent=tuple(sent), removed=tuple(removed), bytes_sent=bytes_sent)
    if code == 0 and late is None:
        return seen
    return _failed(seen, errors, late)


def _failed(seen: Transfer, errors: str, late: process.TooLong | None) -> Transfer:
    if late and late.silent:
        return dataclasses.replace(
            seen,
            code=-signal.SIGKILL,
            words=_(
                "the server said nothing for %(seconds)s s, and the try was ended",
                seconds=f"{late.seconds:g}",
            ),
            kind="silent",
            remedy=_("look what the server is busy with, and whether the line to it is up"),
            again=True,
        )
    if late:
        over = _(
            "the try took longer than its time limit of %(seconds)s s and was ended",
            seconds=f"{late.seconds:g}",
        )
        return dataclasses.replace(
            seen,
            code=-signal.SIGKILL,
            words=over,
            kind="time_limit",
            remedy=_("raise offsite_backup_time_limit, or the bandwidth"),
            again=True,
        )
    known = ssh.failure(errors)
    said = ssh.telling_line(errors)
    words: str
    if seen.code < 0:
        name = signal.Signals(-seen.code).name
        words = _("rsync was ended by signal %(name)s", name=name)
        kind, again = "signal", True
    elif seen.code == _VANISHED:
        words, kind, again = EXIT_WORDS[_VANISHED], "rsync_24", False
    elif known:
        words, kind, again = known.words, known.kind, known.again
    else:
        words = EXIT_WORDS.get(seen.code, _("an ending that rsync's manual does not name"))
        kind, again = f"rsync_{seen.code}", seen.code not in _FINAL_CODES
    if seen.code > 0:
        words = _("%(why)s (rsync exit %(code)d)", why=words, code=seen.code)
    if said:
        words = join([words, said], ": ")
    return dataclasses.replace(
        seen, words=words, kind=kind, remedy=known.remedy if known else "", again=again
    )


def _unescaped(name: str) -> str:
    r"""rsync writes a byte that is not printable, and a backslash before `#`, as `\#ooo`."""
    raw = re.sub(
        rb"\\#([0-7]{3})", lambda found: bytes([int(found[1], 8) & 255]), os.fsencode(name)
    )
    return os.fsdecode(raw)
