# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh for an exact list of files, and the meaning of its exit codes.

The list goes in by NUL-separated names, never by a pattern or a whole folder: what is not in it is
neither sent nor removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..common import process
from ..common.messages import _, join
from ..inventory.digest_cache import TakenDigest
from ..inventory.path_table import SIZES, PathTable, TableBuilder
from . import ssh
from .ssh import Destination

# rsync(1), "EXIT VALUES", and errcode.h of its source for those from 124 on.
EXIT_REASONS = {
    1: _("syntax or usage error: this rsync does not know one of the options"),
    2: _("the two rsync have no protocol in common, or the account's shell prints text of its own"),
    3: _("a file or folder that was named could not be selected"),
    4: _("an action was requested that one side was built without"),
    5: _("the protocol with the server could not be started"),
    6: _("the server could not write its log"),
    10: _("network error"),
    11: _("a file could not be read or written (is a disk full?)"),
    12: _("the data stream was interrupted"),
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


class Item(NamedTuple):
    """One file that rsync sent or removed: its name, undecoded bytes escaped, and its size."""

    path: str
    bytes: int


class SentFiles(Sequence[Item]):
    """Very many files that were sent.

    Args:
        table: of their paths; its first field is their size.
    """

    def __init__(self, table: PathTable[Any]) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Item]:
        return map(Item, self.table, self.table.column(0))

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return Item(self.table.path_at(at), self.table.column(0)[at])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple, SentFiles)):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"SentFiles({list(self)!r})"


@dataclasses.dataclass(frozen=True)
class Transfer:
    """One run of rsync.

    Attributes:
        code: its exit code; negative is the signal that ended it.
        problem: why it failed, with its own error line; empty on success.
        kind: identifier of the failure, such as `rsync_23` or `host_key_changed`; empty on success.
        remedy: what to do about it; may be empty.
        retryable: whether another attempt may help.
        sent: the files that were sent, or would be.
        removed: the files that were moved aside, or would be.
        bytes_sent: bytes written to the server, rsync's own protocol included.
        taken: digests that were taken while files were read to be sent, by path.
        left_out: a sentence on each backup that could not be sent although others could, by path.
    """

    code: int
    problem: str = ""
    kind: str = ""
    remedy: str = ""
    retryable: bool = False
    sent: Sequence[Item] = ()
    removed: tuple[Item, ...] = ()
    bytes_sent: int = 0
    taken: Mapping[str, TakenDigest] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything in the list is done; vanished files give `code` 24."""
        return self.code == 0


@functools.lru_cache(maxsize=1)
def local_version() -> tuple[int, ...]:
    """Return the version of this host's rsync; an empty one where it states none.

    Raises:
        ResilienceError: there is no rsync.
    """
    stated = process.run(["rsync", "--version"], time_limit=20).output
    found = re.search(r"version v?(\d+)\.(\d+)\.(\d+)", stated)
    return tuple(int(part) for part in found.groups()) if found else ()


def command(
    destination: Destination,
    source: str,
    *,
    old_folder: str,
    dry_run: bool,
    remove_missing: bool,
    progress: bool,
    durable: bool,
    ignore_times: bool = False,
) -> list[str]:
    """Return the command line; the list of names is its standard input."""
    shell = ssh.rsync_shell(destination)
    gated = destination.mode == ssh.RESTRICTED
    target = "incoming" if gated else destination.path.rstrip("/")
    host = f"[{destination.host}]" if ":" in destination.host else destination.host
    arguments = [
        "rsync",
        # The gate lets only these through: ownership and links play no part there.
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
    if ignore_times and not gated:  # nothing of the same name waits behind the gate
        arguments.append("--ignore-times")
    if durable:
        arguments.append("--fsync")
    if dry_run:
        arguments.append("--dry-run")
    if progress:
        arguments += ["--info=progress2", "--no-inc-recursive"]
    source = os.path.join(source, "")
    return [*arguments, "--", source, f"{destination.user}@{host}:{target}/"]


class RsyncRun:
    """One attempt to send files: rsync logs in at once and gets the names later.

    Args:
        destination: the server.
        source: the folder that names are relative to.
        old_folder: the folder on the server, relative to its path, that takes what is replaced.
        dry_run: only report what would be done.
        remove_missing: a name that is not there is moved to `old_folder` on the server instead.
        durable: have every file written through to the server's disk before it gets its name.
        counted: whether it reports its progress.
        keep_open: descriptors that rsync inherits: a lock that must be held while rsync runs.
        ignore_times: send files although size and time are equal.

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
        ignore_times: bool = False,
    ) -> None:
        self.destination = destination
        self._began = time.monotonic()
        arguments = command(
            destination,
            source,
            old_folder=old_folder,
            dry_run=dry_run,
            remove_missing=remove_missing,
            progress=counted,
            durable=durable,
            ignore_times=ignore_times,
        )
        with contextlib.ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self._running = stack.enter_context(
                process.running_program(
                    arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=ssh.rsync_environment(),
                    pass_fds=tuple(keep_open),
                )
            )
            self._open = stack.pop_all()

    @property
    def is_fresh(self) -> bool:
        """Whether it still waits for names, and the server for it."""
        waited = time.monotonic() - self._began
        return self._running.poll() is None and waited < self.destination.silence_seconds / 2

    def cancel(self) -> None:
        """End it; it got no names, so it has sent nothing."""
        self._open.close()

    def send(self, names: Sequence[str], progress: Callable[[int], None] | None = None) -> Transfer:
        """Send the files `names`; a name that is not there is skipped.

        Args:
            names: relative to the source.
            progress: called with the bytes of files done so far.
        """
        listed = (os.fsencode(name) + b"\0" for name in names)
        running = self._running
        with self._open:
            feeder = process.write_input(running, listed)
            lines, late = _lines(running, self.destination, progress)
            if late:
                process.kill_group(running)
            code = running.wait()
            if code:
                # An rsync that failed leaves its ssh behind, and that would hold the lock. The
                # server's last error line is still on its way through it, though.
                _wait_for_group(running.pid)
                process.kill_group(running)
            feeder.join()
            self._errors.seek(0)
            errors_text = self._errors.read(1 << 20).decode("utf-8", "backslashreplace")
        return transfer_result(code, lines, errors_text, late=late)


class _Lines:
    """Lines of a program; as many texts they would take three times the memory."""

    def __init__(self) -> None:
        self._written = bytearray()

    def append(self, line: bytes) -> None:
        """Add a line, without its end."""
        self._written += line
        self._written += b"\n"

    def __iter__(self) -> Iterator[str]:
        begin = 0
        while (end := self._written.find(b"\n", begin)) >= 0:
            yield os.fsdecode(bytes(self._written[begin:end]))
            begin = end + 1


def _lines(
    running: subprocess.Popen[bytes],
    destination: Destination,
    progress: Callable[[int], None] | None,
) -> tuple[_Lines, process.TimeLimitError | None]:
    """Return the lines that rsync writes, without progress, and why it must be ended early.

    rsync's own `--timeout` notices a silent server; but once all is sent, rsync 3.5 counts what it
    sends itself as a sign of life. So what it has read counts here: a server that works sends
    something at least every half of `--timeout`.
    """
    lines = _Lines()
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
                    if line[:1] == b"<":  # a file that was sent, by far the most
                        lines.append(line)
                    elif found := re.match(rb"\s+(\d+)\s+\d+%\s", line):
                        if progress:
                            progress(int(found[1]))
                    elif line:
                        lines.append(line)
            return lines, None
        except process.TimeLimitError as late:
            if time.monotonic() >= end:
                return lines, process.TimeLimitError(destination.time_limit, silent=False)
            before, heard = heard, _bytes_read(running.pid)
            if late.silent and heard is not None and heard == before:
                return lines, late


def _wait_for_group(number: int) -> None:
    """Wait for the rest of a process group to end, two seconds at most."""
    end = time.monotonic() + 2
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < end:
            os.killpg(number, 0)
            time.sleep(0.05)


def _bytes_read(pid: int) -> int | None:
    """Return what a process has read so far (proc(5), `rchar`); None where that is not known."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return None


_ITEM = re.compile(r"(?P<what>\*deleting  |[<>ch.*][fdLDS]\S{9}) (?P<bytes>\d+) (?P<name>.*)")


def transfer_result(
    code: int,
    lines: Iterable[str],
    errors: str,
    *,
    late: process.TimeLimitError | None = None,
) -> Transfer:
    """Return the result of one run of rsync, from what it wrote and how it ended.

    Args:
        code: its exit code, negative for a signal.
        lines: what it wrote on standard output.
        errors: what it and ssh wrote on standard error.
        late: why it was ended early, where it was.
    """
    sent: TableBuilder[int] = TableBuilder(SIZES)
    removed, bytes_sent = [], 0
    for line in lines:
        # What `_ITEM` finds, faster: most lines are of files that were sent.
        size, _space, name = line[12:].partition(" ")
        if line.startswith("<f") and line[11:12] == " " and size.isdecimal():
            sent.add(unescaped(name), (int(size),))
        elif found := _ITEM.fullmatch(line):
            item = Item(unescaped(found["name"]), int(found["bytes"]))
            if found["what"].startswith("*deleting"):
                removed.append(item)
            elif found["what"].startswith("<f"):
                sent.add(item.path, (item.bytes,))
        elif found := re.fullmatch(r"Total bytes sent: ([\d,.]+)", line):
            bytes_sent = int(re.sub(r"\D", "", found[1]))
    seen = Transfer(
        code, sent=SentFiles(sent.table()), removed=tuple(removed), bytes_sent=bytes_sent
    )
    if code == 0 and late is None:
        return seen
    return _failed(seen, errors, late)


def _failed(seen: Transfer, errors: str, late: process.TimeLimitError | None) -> Transfer:
    if late and late.silent:
        return dataclasses.replace(
            seen,
            code=-signal.SIGKILL,
            problem=_(
                "the server sent nothing for %(seconds)s s, and the attempt was ended",
                seconds=f"{late.seconds:g}",
            ),
            kind="silent",
            remedy=_("look what the server is busy with, and whether the line to it is up"),
            retryable=True,
        )
    if late:
        over = _(
            "the attempt took longer than its time limit of %(seconds)s s and was ended",
            seconds=f"{late.seconds:g}",
        )
        return dataclasses.replace(
            seen,
            code=-signal.SIGKILL,
            problem=over,
            kind="time_limit",
            remedy=_("raise time_limit of the destination, or the bandwidth"),
            retryable=True,
        )
    known = ssh.failure(errors)
    errors_text = ssh.error_line(errors)
    problem: str
    if seen.code < 0:
        name = signal.Signals(-seen.code).name
        problem = _("rsync was ended by signal %(name)s", name=name)
        kind, retryable = "signal", True
    elif seen.code == _VANISHED:
        problem, kind, retryable = EXIT_REASONS[_VANISHED], "rsync_24", False
    elif known:
        problem, kind, retryable = known.problem, known.kind, known.retryable
    else:
        problem = EXIT_REASONS.get(seen.code, _("an ending that rsync's manual does not name"))
        kind, retryable = f"rsync_{seen.code}", seen.code not in _FINAL_CODES
    if seen.code > 0:
        problem = _("%(why)s (rsync exit %(code)d)", why=problem, code=seen.code)
    if errors_text:
        problem = join([problem, errors_text], ": ")
    return dataclasses.replace(
        seen, problem=problem, kind=kind, remedy=known.remedy if known else "", retryable=retryable
    )


def unescaped(name: str) -> str:
    r"""Return a name without rsync's escapes.

    rsync writes a byte that is not printable, and a backslash before `#`, as `\#ooo`.
    """
    if "\\#" not in name:
        return name
    raw = re.sub(
        rb"\\#([0-7]{3})", lambda found: bytes([int(found[1], 8) & 255]), os.fsencode(name)
    )
    return os.fsdecode(raw)
