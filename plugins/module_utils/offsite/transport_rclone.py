# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rclone: object storage, WebDAV and whatever else it supports.

A file is sent to `.chefwell-incoming` beside the tiers and renamed into its tier when it is
complete: not every service, and not every version of rclone, writes to a temporary name. Content is
fetched to take its SHA-256, for most services store digests of other kinds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

from ..common import iso_time, json_text, process
from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..common.system_errors import reason
from ..inventory import backup_names, companions, inventory
from ..inventory.path_list import PathList
from ..inventory.path_table import SIZES, PathTable, total_bytes
from . import remote_listing, rsync
from .remote_listing import RemoteListing
from .rsync import Item, SentFiles, Transfer
from .ssh import error_line
from .transport import Delivery, FinishResult, RemoteFile, TransferRequest

INCOMING = ".chefwell-incoming"
FETCH_TRIES = 3
# Names of one call: rclone takes some two kilobytes for each.
MOST_NAMES = 30_000
# rclone(1), "Exit code".
_EXIT_REASONS = {
    1: ("failed", _("rclone failed"), True),
    2: ("usage", _("rclone does not know one of the options"), False),
    3: ("no_folder", _("the folder is not there"), False),
    4: ("vanished", _("a file was not found"), True),
    5: ("temporary", _("a passing fault of the service"), True),
    6: ("failed", _("a fault of the service that it does not call passing"), True),
    7: ("fatal", _("a fault that another attempt cannot fix"), False),
    8: ("limit", _("the limit of the transfer was reached"), False),
}


@dataclasses.dataclass(frozen=True)
class RcloneDestination:
    """Remote of rclone's, and options of its calls.

    Attributes:
        remote: as rclone writes it, `name:bucket/path`.
        config_file: rclone's configuration, which holds the service's secrets.
        bandwidth_kbps: most KiB a second that are sent; None for no limit.
        time_limit: seconds that one call may take.
        connect_seconds: seconds to reach the service.
        silence_seconds: seconds without a byte after which a transfer ends.

    Raises:
        ResilienceError: the remote's name is malformed.
    """

    remote: str
    config_file: str
    bandwidth_kbps: int | None = None
    time_limit: float = 7200
    connect_seconds: int = 20
    silence_seconds: int = 300

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+@][\w .+@-]*:[^\x00-\x1f\x7f]*", self.remote):
            raise ResilienceError(
                "this is not the name of an rclone remote",
                option="rclone_remote",
                value=self.remote,
                remedy="write it as name:bucket/path, with the name from `rclone config`",
            )


class RcloneTransport:
    """Transport to one rclone remote."""

    def __init__(self, destination: RcloneDestination) -> None:
        self.destination = destination

    @property
    def host(self) -> str:
        """The remote's name."""
        return self.destination.remote.partition(":")[0]

    @property
    def takes_digests(self) -> bool:
        """No inventory is announced, as `Transport.takes_digests`."""
        return False

    def arrived_digests(self) -> Mapping[str, str]:
        """Nothing: no ledger is kept, as `Transport.arrived_digests`."""
        return {}

    @property
    def last_link(self) -> str:
        """No link: nothing is signed, as `Transport.last_link`."""
        return ""

    def __str__(self) -> str:
        return f"rclone:{self.destination.remote}"

    def check(self) -> None:
        """Check rclone's configuration, as `Transport.check`."""
        path = self.destination.config_file
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise ResilienceError(
                _("rclone's configuration cannot be read: %(why)s", why=reason(error)),
                option="rclone_config_file",
                value=path,
                remedy=_("make it with `rclone config --config FILE`"),
            ) from error
        if mode & 0o077:
            raise ResilienceError(
                _("rclone's configuration may be read by others, and it holds secrets"),
                option="rclone_config_file",
                value=path,
                remedy=_("chmod 600 the file"),
            )

    def server_name(self) -> str:
        """Return the remote's name once it could be listed, as `Transport.server_name`."""
        self._listed("")
        return self.host

    def weaker(self, remote: RemoteListing) -> tuple[str, ...]:
        """Return the guarantees that are missing, as `Transport.weaker`."""
        times = (
            ()
            if remote.keeps_times
            else (
                _(
                    "the service keeps no times of change: a backup that was written anew with the "
                    "same size is found by the verification only"
                ),
            )
        )
        return (
            *times,
            _(
                "whoever has rclone's configuration can delete and overwrite the copy, unless the "
                "service itself keeps versions or locks objects"
            ),
            _("what was moved aside is kept until a person removes it"),
        )

    def prefetch(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """Do nothing: rclone cannot list in advance."""

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """Do nothing: rclone cannot log in in advance."""

    def discard_leftovers(self) -> None:
        """Do nothing: nothing is left on this host, as `Transport.discard_leftovers`."""

    def cancel(self) -> None:
        """Do nothing: nothing was started."""

    def list_backups(
        self,
        tiers: Sequence[str],
        pattern: str,
        known: str = "",
        like: PathTable[Any] | None = None,
    ) -> RemoteListing:
        """List the remote's backups, as `Transport.list_backups`."""
        tree = inventory.Inventory(str(self), [], tuple(tiers))
        folders = {entry["Name"] for entry in self._listed("") if entry.get("IsDir")}
        # In the order of the paths, which spares this host from sorting them.
        there = sorted((tier for tier in tiers if tier in folders), key=lambda name: f"{name}/")
        rows = self._rows(there, tree.ignored, backup_names.compiled(pattern))
        files = inventory.BackupFiles.of_rows(rows, like)
        return RemoteListing(
            bool(folders),
            True,
            dataclasses.replace(tree, files=files),
            "0",
            None,
            files.identities,
            keeps_times=self._keeps_times(),
        )

    def _rows(
        self, tiers: Sequence[str], ignored: list[str], pattern: re.Pattern[str]
    ) -> Iterator[inventory.FileRow]:
        """Yield the rows of the backups in some tiers; other names go into `ignored`."""
        for tier in tiers:
            for entry in self._listed(tier):
                path = f"{tier}/{entry['Name']}"
                match = companions.match_name(str(entry["Name"]), pattern)
                if entry.get("IsDir"):
                    ignored.append(inventory.unfit(path, _("folder")))
                elif not match:
                    ignored.append(inventory.readable(path))
                else:
                    moment = inventory.bounded_ns(_nanoseconds(str(entry["ModTime"])))
                    taken = inventory.moment_number(backup_names.taken_at(match))
                    yield path, (int(entry["Size"]), moment, 0, 0, taken)

    def _keeps_times(self) -> bool:
        """Return whether the service stores times of change, by its precision."""
        done = self._run("backend", "features", self._at(""))
        try:
            precision = int(json_text.loads(done.output)["Precision"])
        except (ValueError, KeyError, TypeError):
            return False
        return precision <= 10**9

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return digests of fetched content, as `Transport.digests`.

        A digest that the service stored says nothing of the content that it holds today.
        """
        if not paths:
            return {}
        sums = chain.from_iterable(map(self._sums_of, _batches(paths)))
        return remote_listing.digest_table(sums, paths)

    def _sums_of(self, paths: Sequence[str]) -> Iterator[tuple[str, tuple[str]]]:
        """Yield some paths and their digests."""
        with _listing(paths) as names:
            lines = self._output(
                "hashsum", "sha256", "--download", "--files-from-raw", names, self._at("")
            )
        with lines:
            for line in lines:
                text = os.fsdecode(line).rstrip("\n")
                if known := re.fullmatch(r"([0-9a-f]{64})  (.*)", text):
                    yield known[2], (known[1],)

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return the same listing, as `Transport.standing`: there are no alarms."""
        return remote

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Send files, as `Transport.send`."""
        total: PathTable[int] = PathTable(SIZES)
        for name in names:
            # One that was rotated away is left out: the sync looks for that itself.
            with contextlib.suppress(OSError):
                total.add(name, (os.lstat(os.path.join(delivery.source, name)).st_size,))
        sent = SentFiles(total)
        if delivery.dry_run:
            return Transfer(0, sent=sent)
        for some in _batches(total):
            failed = self._send_batch(some, total, delivery)
            if failed:
                return failed
        return Transfer(0, sent=sent, bytes_sent=total_bytes(total))

    def _send_batch(
        self, names: Sequence[str], sizes: Mapping[str, int], delivery: Delivery
    ) -> Transfer | None:
        """Send some files and give them their places; return the failure, or None."""
        with _listing(names) as listed:
            failed = self._failure_of(
                "copy", "--files-from-raw", listed, "--no-traverse", delivery.source,
                self._at(INCOMING),
            )  # fmt: skip
            if failed:
                return failed
            # Older content of the same name is moved aside first: nothing is overwritten.
            replaced = self._sizes(listed)
            failed = self._moved(replaced, "", delivery.old_folder)
            failed = failed or self._moved(names, INCOMING, "")
            if failed:
                return failed
            placed = self._sizes(listed)
        lost = [name for name in names if placed.get(name) != sizes[name]]
        if not lost:
            return None
        return Transfer(
            1,
            problem=_(
                "%(count)d backups did not arrive as they are here: %(files)s",
                count=len(lost),
                files=", ".join(inventory.readable(name) for name in lost[:5]),
            ),
            kind="not_placed",
            remedy=_("look whether they still change, or were rotated away"),
            retryable=True,
        )

    def finish(self, request: TransferRequest, delivery: Delivery) -> FinishResult:
        """Move obsolete backups aside, as `Transport.finish`."""
        removed = tuple(Item(path, 0) for path in request.aside)
        if not delivery.dry_run:
            failed = self._moved(request.aside, "", delivery.old_folder)
            if failed:
                return FinishResult(failed)
        return FinishResult(Transfer(0, removed=removed))

    def list_files(self, tiers: Sequence[str]) -> dict[str, RemoteFile]:
        """Return the files of some tiers, as `Transport.list_files`."""
        self.check()
        return {
            f"{tier}/{entry['Path']}": RemoteFile(
                int(entry["Size"]), _nanoseconds(str(entry["ModTime"]))
            )
            for tier in tiers
            for entry in self._listed(tier, "-R", "--files-only")
        }

    def fetch(self, paths: Sequence[str], folder: str) -> None:
        """Fetch files, as `Transport.fetch`."""
        with _listing(paths) as listed:
            for _number in range(FETCH_TRIES):
                failed = self._failure_of(
                    "copy", "--files-from-raw", listed, "--no-traverse", self._at(""), folder
                )
                if failed is None or not failed.retryable:
                    break
        if failed:
            raise ResilienceError(
                failed.problem, option="rclone_remote", value=str(self), remedy=failed.remedy
            )

    def evidence(self, path: str) -> Mapping[str, Any]:
        """Return nothing: it is not sealed, as `Transport.evidence`."""
        return {}

    def fetch_command(self, path: str, folder: str) -> str:
        """Return the command for a person, as `Transport.fetch_command`."""
        config = f"--config={self.destination.config_file}"
        return shlex.join(["rclone", config, "copy", self._at(path), folder])

    def _moved(self, paths: Iterable[str], source: str, target: str) -> Transfer | None:
        """Move files on the remote, one call a tier; return the failure, or None.

        rclone moves nothing between folders of which one holds the other. `--immutable`: what has
        the name already is not overwritten.
        """
        moved = PathList(paths)
        for tier in moved.table.count_by_folder():
            names = (moved[at].partition("/")[2] for at in moved.table.rows_of(tier))
            ends = [self._at("/".join(filter(None, (end, tier)))) for end in (source, target)]
            with _listing(names) as listed:
                failed = self._failure_of(
                    "move", "--immutable", "--no-traverse", "--files-from-raw", listed, *ends
                )
            if failed:
                return failed
        return None

    def _sizes(self, listed: str) -> PathTable[int]:
        """Return bytes by path of those names in the list that are there."""
        entries = self._listed("", "-R", "--files-only", "--files-from-raw", listed)
        return PathTable.sorted_from(
            SIZES, ((str(entry["Path"]), (int(entry["Size"]),)) for entry in entries)
        )

    def _at(self, path: str) -> str:
        remote = self.destination.remote
        separator = "" if remote.endswith((":", "/")) or not path else "/"
        return f"{remote}{separator}{path}"

    def _listed(self, folder: str, *options: str) -> Iterator[dict[str, Any]]:
        """Return the entries of a folder, each read when it is needed; none where it is absent."""
        lines = self._output("lsjson", "--no-mimetype", *options, self._at(folder), absent=True)
        return self._entries(lines)

    def _entries(self, lines: IO[bytes]) -> Iterator[dict[str, Any]]:
        """Yield what `rclone lsjson` has written: a list with a line for each entry."""
        with lines:
            for line in lines:
                text = line.strip().removesuffix(b",")
                if text in (b"", b"[", b"]"):
                    continue
                try:
                    entry = json_text.loads(os.fsdecode(text))
                except ValueError as error:
                    raise ResilienceError(
                        _("rclone's answer cannot be read"),
                        option="rclone_remote",
                        value=str(self),
                    ) from error
                if isinstance(entry, dict) and "Name" in entry:
                    yield entry

    def _output(self, *arguments: str, absent: bool = False) -> IO[bytes]:
        """Return what rclone writes, in a file: of many backups it is too much for memory.

        Args:
            arguments: its command.
            absent: whether the folder may be absent; then there is nothing.
        """
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(tempfile.TemporaryFile(prefix="chefwell-output-"))
            done = self._execute(arguments, output)
            output.seek(0)
            if done.code == 3 and absent:
                output.truncate()
            else:
                self._check_done(done)
            stack.pop_all()
        return output

    def _run(self, *arguments: str) -> process.ProcessResult:
        done = self._execute(arguments)
        self._check_done(done)
        return done

    def _check_done(self, done: process.ProcessResult) -> None:
        if done.code != 0:
            failed = _transfer_failure(done, self.destination.time_limit)
            raise ResilienceError(failed.problem, option="rclone_remote", value=str(self))

    def _failure_of(self, *arguments: str) -> Transfer | None:
        done = self._execute(arguments)
        return None if done.code == 0 else _transfer_failure(done, self.destination.time_limit)

    def _execute(
        self, arguments: Sequence[str], output: IO[bytes] | int = subprocess.PIPE
    ) -> process.ProcessResult:
        destination = self.destination
        command = [
            "rclone",
            arguments[0],
            f"--config={destination.config_file}",
            f"--contimeout={destination.connect_seconds}s",
            f"--timeout={destination.silence_seconds}s",
            "--retries=1",
            "--low-level-retries=2",
            "--use-server-modtime=false",
            "--log-level=ERROR",
        ]
        if destination.bandwidth_kbps:
            command.append(f"--bwlimit={destination.bandwidth_kbps}k")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return process.run(
            [*command, *arguments[1:]],
            time_limit=destination.time_limit,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **kept},
            stdout=output,
        )


def _transfer_failure(done: process.ProcessResult, time_limit: float) -> Transfer:
    kind, text, retryable = _EXIT_REASONS.get(
        done.code, ("failed", f"rclone: {done.ending()}", True)
    )
    if done.timed_out:
        kind = "time_limit"
        text = _("rclone took longer than %(seconds)s s and was ended", seconds=f"{time_limit:g}")
    errors_text = error_line(re.sub(r"^\S+ \S+ ERROR : ", "", done.errors, flags=re.MULTILINE))
    problem = join([text, errors_text], ": ")
    return rsync.Transfer(
        done.code or 1,
        problem=problem,
        kind=f"rclone_{kind}",
        remedy=_("try `rclone lsd REMOTE` with the same configuration"),
        retryable=retryable,
    )


def _nanoseconds(text: str) -> int:
    """Return the nanoseconds of a time in RFC 3339 with up to nine digits of a second."""
    whole, _dot, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    zone = rest[len(digits[0]) :] if digits and _dot else ""
    moment = iso_time.parse(whole + zone)
    fraction = (digits[0] if digits and _dot else "")[:9].ljust(9, "0")
    return int(moment.timestamp()) * 10**9 + int(fraction)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(names)
    while some := list(islice(remaining, MOST_NAMES)):
        yield some


@contextlib.contextmanager
def _listing(names: Iterable[str]) -> Iterator[str]:
    """Provide a file of names for `--files-from-raw`.

    Raises:
        ResilienceError: a name holds a line break, which that format cannot express.
    """
    with tempfile.NamedTemporaryFile(prefix="chefwell-names-") as file:
        for name in names:
            if "\n" in name or "\r" in name:
                raise ResilienceError(
                    _("rclone cannot be given a name with a line break"),
                    option="pattern",
                    value=inventory.readable(name),
                    remedy=_("rename the file, or let the pattern not match it"),
                )
            file.write(os.fsencode(name) + b"\n")
        file.flush()
        yield file.name
