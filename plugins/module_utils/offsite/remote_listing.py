# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listing of the backup server's folder, and digests of its content, each by one ssh command.

The script's text is fixed, and everything that varies is an argument; its records end with NUL, so
that a file name may hold anything. Output without its last record is an error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..inventory import backup_names, companions, inventory
from ..inventory.digest_cache import Identity
from ..inventory.digest_column import DigestColumn
from ..inventory.path_list import PathList
from ..inventory.path_table import DIGESTS, PathTable
from . import ssh, ssh_command
from .command_output import CommandOutput
from .foreign_messages import foreign_message
from .ssh import ServerError

# One line and no `!`, for the account's shell may be any. Its records, each ending with NUL:
# begin | absent | nowhere (the folder above is not there either) | closed | rsync VERSION
# room DF-LINE | link TIER | missing TIER | unreadable TIER
# file TYPE SIZE MTIME INODE CTIME PATH | end
# The server's gate (`gate`) writes also: gate PROTOCOL confined|loose | free BYTES
# alarm KIND SINCE REASON | notice KIND SINCE REASON | alarm-message KIND FORM (JSON)
# rotten PATH
# packed
# entry TYPE SIZE MTIME_NS INODE CTIME_NS PATH
_LIST_SCRIPT = "; ".join(
    (
        'printf "begin\\0"',
        'cd -- "$1" 2>/dev/null || { if test -e "$1"; then printf "closed\\0"; '
        'else printf "absent\\0"; test -d "$(dirname -- "$1")" || '
        'printf "nowhere\\0"; fi; printf "end\\0"; exit 0; }',
        "shift",
        'printf "rsync %s\\0" "$(rsync --version 2>/dev/null | head -n 1)"',
        'printf "room %s\\0" "$(df -Pk . 2>/dev/null | tail -n 1)"',
        'for tier do if test -L "$tier"; then printf "link %s\\0" "$tier"; '
        'elif test -d "$tier"; then '
        '{ find "./$tier" -mindepth 1 -maxdepth 1 -printf "file %y %s %T@ %i %C@ %p\\0" '
        '|| printf "unreadable %s\\0" "$tier"; } | LC_ALL=C sort -z -t " " -k 7; '
        'else printf "missing %s\\0" "$tier"; fi; done',
        'printf "end\\0"',
    )
)
# sha256sum writes each line at once, so that several may write to one pipe; that holds for lines
# only, so names with a line break come escaped (a backslash before the digest says so).
# An empty line each second shows that it is still at work. `$!` is put together from its parts.
_DIGEST_COMMANDS = "; ".join(
    (
        "(while sleep 1 </dev/null >/dev/null 2>&1; do echo; done) & "
        'xargs -0 -r -n 8 -P "$(nproc)" sha256sum -b --',
        r'eval "kill \$$(printf \\041)"',
        "echo end",
    )
)
_DIGEST_SCRIPT = f'cd -- "$1" || exit; {_DIGEST_COMMANDS}'
# The last record of a list, and the one before it ends with NUL as well.
LIST_END = b"\0end\0"
# The first record of a list. What stands before it was written by the account's shell.
LIST_BEGIN = b"begin\0"
# Characters of a foreign text that are shown.
_MOST_SHOWN = 500
_MOST_ALARMS = 100
_PART_NAMES = 10_000
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_DIGEST = re.compile(r"([0-9a-f]{64}) [ *](.*)", re.DOTALL)
_KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO}


@dataclasses.dataclass(frozen=True)
class RemoteListing:
    """The server's folder.

    Attributes:
        exists: whether the folder is there.
        can_be_made: whether rsync can make it: the folder above it is there.
        tree: what it holds, without digests; nothing where it does not exist.
        rsync: the server's version of rsync, `3.2.7`; None where it has none.
        room: bytes that may still be written there; None where that is not known.
        identities: each backup's identity there, for the cache of digests.
        gate: the protocol of the server's gate; None where the account runs any command.
        confined: whether the kernel there keeps rsync in the gate's folder.
        rotten: backups whose content the server's own job found changed.
        alarms: the alarms of the server's own job, one sentence each.
        notices: those of them that are warnings.
        alarm_kinds: the kind of each, as the server calls it.
        keeps_times: whether it keeps a file's time of change; otherwise sizes alone are compared
            before something is sent.
        fingerprint: digest of the whole listing: the same again means the same files with the same
            sizes, times and inodes. Empty where there is none.
        unchanged: whether the fingerprint is the known one, so that the listing was not parsed:
            `tree` and `identities` are empty.
        takes_packed: whether a commit there may begin with files of `inventory.packed_stream`.
    """

    exists: bool
    can_be_made: bool
    tree: inventory.Inventory
    rsync: str | None
    room: int | None
    identities: Mapping[str, Identity] = dataclasses.field(default_factory=dict)
    gate: int | None = None
    confined: bool = False
    rotten: frozenset[str] = frozenset()
    alarms: tuple[str, ...] = ()
    keeps_times: bool = True
    fingerprint: str = ""
    unchanged: bool = False
    notices: tuple[str, ...] = ()
    alarm_kinds: tuple[str, ...] = ()
    takes_packed: bool = False


def list_command(
    destination: ssh.Destination, tiers: Sequence[str], *, digests: bool = False
) -> list[str]:
    """Return the command that lists the folder of an account that runs any command.

    `parse` reads its output. A tier that is not there is empty: rsync makes it.

    Args:
        destination: the server.
        tiers: the tiers to list.
        digests: whether it goes on, after `LIST_END`, as `digest_command` does.
    """
    script = f"{_LIST_SCRIPT}; {_DIGEST_COMMANDS}" if digests else _LIST_SCRIPT
    # In the order of the paths, which spares the client from sorting them.
    in_order = sorted(tiers, key=lambda name: f"{name}/")
    return ssh_command.shell_command(script, destination.path, *in_order)


def digest_command(destination: ssh.Destination) -> list[str]:
    """Return the command that digests files of an account that runs any command.

    `digest_input` is its standard input, `parse_sums` reads its output.
    """
    return ssh_command.shell_command(_DIGEST_SCRIPT, destination.path)


def digest_input(paths: Iterable[str]) -> Iterator[bytes]:
    """Yield the standard input of `digest_command`."""
    yield from name_parts(f"./{path}" for path in paths)


def name_parts(paths: Iterable[str]) -> Iterator[bytes]:
    """Yield names, each ended by NUL, in parts of some size."""
    remaining = iter(paths)
    while some := list(itertools.islice(remaining, _PART_NAMES)):
        yield b"".join(os.fsencode(path) + b"\0" for path in some)


def parse_sums(
    output: bytes | CommandOutput, root: str, names: Sequence[str] = ()
) -> PathTable[str]:
    """Return digests by path from the output of sha256sum; an unreadable file has none.

    Args:
        output: what the server wrote.
        root: the name of its folder.
        names: the files to digest; the memory of a `PathList` is used.

    Raises:
        ResilienceError: the output is not whole.
    """
    return digests_of(map(_unescaped, _Body(output, root, b"\n").records()), names)


def _unescaped(line: bytes) -> bytes:
    """Return a line of sha256sum without its escapes (coreutils manual, "md5sum invocation")."""
    if not line.startswith(b"\\"):
        return line
    plain = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
    return re.sub(rb"\\([nr\\])", lambda found: plain[found[1]], line[1:])


def parse_digests(output: bytes | CommandOutput, root: str) -> PathTable[str]:
    """Return digests by path from the output of the gate.

    Raises:
        ResilienceError: the output is not whole.
    """
    return digests_of(_Body(output, root).records())


def parse_read(
    output: bytes | CommandOutput, root: str, names: Sequence[str] = ()
) -> tuple[PathTable[str], StandingAlarms]:
    """Return digests by path, and the alarms that stand after the reading, of the gate's output.

    Args:
        output: what the server wrote.
        root: the name of its folder.
        names: as for `parse_sums`.

    Raises:
        ResilienceError: the output is not whole.
    """
    body = _Body(output, root)
    return digests_of(body.records(), names), standing_alarms(body.records())


def digests_of(records: Iterable[bytes], names: Sequence[str] = ()) -> PathTable[str]:
    """Return the digests by path among the records, probably of these files."""
    return digest_table(_each_digest(records), names)


def digest_table(
    digests: Iterable[tuple[str, tuple[str]]], names: Sequence[str] = ()
) -> PathTable[str]:
    """Return the table of digests in any order, probably of these files."""
    if not isinstance(names, PathList):
        return PathTable.sorted_from(DIGESTS, digests)
    # Several programs digest at a time, so that they come out of order.
    column = DigestColumn.unknown(len(names))
    for path, (digest,) in digests:
        row = names.table.row_of(path)
        if row >= 0:
            column[row] = digest
    table = names.table.extended(DIGESTS, column)
    if not column.is_complete:
        for path in [path for path, digest in table.items() if not digest]:
            del table[path]
    return table


def _each_digest(records: Iterable[bytes]) -> Iterator[tuple[str, tuple[str]]]:
    for record in records:
        if known := _DIGEST.fullmatch(os.fsdecode(record)):
            yield known[2].removeprefix("./"), (known[1],)


def shown(text: bytes | str) -> str:
    """Return a text that the server gave, on one line, for people: bounded, and escaped."""
    decoded = text if isinstance(text, str) else os.fsdecode(text[: 4 * _MOST_SHOWN])
    return inventory.readable(decoded.strip()[:_MOST_SHOWN])


class _Body:
    """An output without what marks its beginning and its end.

    Args:
        output: what the server wrote.
        root: the name of the server's folder.
        separator: ends each record.

    Raises:
        ResilienceError: the output is not whole.
    """

    def __init__(self, output: bytes | CommandOutput, root: str, separator: bytes = b"\0") -> None:
        self._output = CommandOutput(output) if isinstance(output, bytes) else output
        self._separator = separator
        found = self._output.find(LIST_BEGIN)
        before = b"".join(self._output.parts(0, max(0, found)))
        if before.strip():
            raise ServerError(ssh.SHELL_PRINTS, shown(before), root)
        self._begin = found + len(LIST_BEGIN) if found >= 0 else 0
        ending = separator + b"end" + separator
        length = len(self._output) - self._begin
        is_empty = length == len(ending) - 1 and self._output.endswith(ending[1:])
        if not is_empty and (length < len(ending) or not self._output.endswith(ending)):
            raise ResilienceError(
                _("the server's answer is not whole"),
                option="server",
                value=root,
                remedy=_(
                    "make sure that the account's shell prints nothing of its own, that "
                    "mode of the destination is what the server is set up for, and try again"
                ),
            )
        self._end = max(self._begin, len(self._output) - len(ending))

    def records(self) -> Iterator[bytes]:
        """Yield the records, not all of them in memory at a time."""
        return self._output.records(self._begin, self._end, self._separator)


def parse(
    output: bytes | CommandOutput,
    root: str,
    tiers: Sequence[str],
    pattern: str,
    known: str = "",
    like: PathTable[Any] | None = None,
) -> RemoteListing:
    """Return the listing from the server's output.

    The output is not trusted: only names directly in one of the tiers count.

    Args:
        output: what the server wrote.
        root: the name of its folder.
        tiers: the tiers that count.
        pattern: regular expression for the names of backups.
        known: the fingerprint of a listing that need not be parsed again.
        like: a table with probably the same paths, whose memory is used.

    Raises:
        ResilienceError: the output is not whole, or the folder may not be entered.
    """
    body = _Body(output, root)
    short, fingerprint = _summary(body.records())
    if b"closed" in short:
        raise ResilienceError(
            _("the folder on the server cannot be entered"),
            option="server_path",
            value=root,
            remedy=_("let the account own it"),
        )
    tree = inventory.Inventory(root, [], tuple(tiers))
    version: str | None = None
    room: int | None = None
    gate: int | None = None
    confined = False
    rotten: set[str] = set()
    unchanged = bool(known) and fingerprint == known
    for record in map(os.fsdecode, short):
        kind, _space, rest = record.partition(" ")
        if kind == "rsync":
            found = re.search(r"version v?(\d+(\.\d+)+)", rest)
            version = found[1] if found else None
        elif kind == "room":
            fields = rest.split()
            kilobytes = _number(fields[3]) if len(fields) > 3 else None
            room = None if kilobytes is None else kilobytes * 1024
        elif kind == "free":
            room = _number(rest)
        elif kind == "gate":
            number, _space, kept = rest.partition(" ")
            gate, confined = _number(number) or 0, kept == "confined"
        elif kind == "rotten":
            rotten.add(rest)
        elif kind == "link":
            why = _("symbolic link, not followed")
            tree.problems.append(join([inventory.readable(rest), why], ": "))
        elif kind == "unreadable":
            why = _("cannot be read whole")
            tree.problems.append(join([inventory.readable(rest), why], ": "))
    standing = standing_alarms(short)
    rows = () if unchanged else _rows(tree, body.records(), backup_names.compiled(pattern))
    files = inventory.BackupFiles.of_rows(rows, like)
    tree.ignored.sort()
    tree = dataclasses.replace(tree, files=files)
    return RemoteListing(
        b"absent" not in short,
        b"nowhere" not in short,
        tree,
        version,
        room,
        files.identities,
        gate,
        confined,
        frozenset(rotten),
        standing.alarms,
        notices=standing.notices,
        alarm_kinds=standing.kinds,
        takes_packed=b"packed" in short,
        fingerprint=fingerprint,
        unchanged=unchanged,
    )


@dataclasses.dataclass(frozen=True)
class StandingAlarms:
    """The alarms of the server's own job, one sentence each.

    Attributes:
        alarms: the critical ones.
        notices: the warnings.
        kinds: the kind of each, the critical ones first.
    """

    alarms: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


def standing_alarms(records: Iterable[bytes]) -> StandingAlarms:
    """Return the alarms among the records of the gate."""
    found: dict[str, tuple[str, str]] = {}
    notices = set()
    for record in map(os.fsdecode, records):
        kind, _space, rest = record.partition(" ")
        name, _space, rest = rest.partition(" ")
        if kind in ("alarm", "notice") and len(found) < _MOST_ALARMS:
            since, _space, why = rest.partition(" ")
            found[name] = (shown(since), shown(why))
            if kind == "notice":
                notices.add(name)
        elif kind == "alarm-message" and name in found:
            # The same alarm as a translatable message; what is no message changes nothing.
            since, why = found[name]
            found[name] = (since, foreign_message(rest, why))
    kinds = sorted(found, key=lambda name: name in notices)
    sentences = {
        name: _(
            "%(kind)s since %(since)s: %(reason)s",
            kind=shown(name),
            since=found[name][0],
            reason=found[name][1],
        )
        for name in kinds
    }
    return StandingAlarms(
        tuple(sentences[name] for name in kinds if name not in notices),
        tuple(sentences[name] for name in kinds if name in notices),
        tuple(map(shown, kinds)),
    )


_FILE_RECORDS = (b"entry ", b"file ")
_LIST_RECORDS = (*_FILE_RECORDS, b"link ", b"missing ", b"unreadable ", b"rotten ")


def _summary(records: Iterator[bytes]) -> tuple[list[bytes], str]:
    """Return the records that are not of files, and the digest of the whole list."""
    short: list[bytes] = []
    digest = hashlib.sha256()
    while part := list(itertools.islice(records, 5000)):
        files = [record for record in part if record.startswith(_FILE_RECORDS)]
        if len(files) < len(part):
            short += [record for record in part if not record.startswith(_FILE_RECORDS)]
            files = [record for record in part if record.startswith(_LIST_RECORDS)]
        digest.update(b"\0".join([*files, b""]))
    return short, digest.hexdigest()


def _rows(
    tree: inventory.Inventory, records: Iterable[bytes], pattern: re.Pattern[str]
) -> Iterator[inventory.FileRow]:
    """Yield the rows of the backups among `file` and `entry` records; others are ignored names."""
    for record in records:
        if not record.startswith(_FILE_RECORDS):
            continue
        # Times are whole nanoseconds (`entry`), or seconds with a fraction (`file`).
        time_of = _moment if record.startswith(b"entry") else _nanoseconds
        try:
            _kind, letter, *numbers, path = os.fsdecode(record).split(" ", 6)
            size, mtime, inode, ctime = numbers
            fields = (_whole(size), time_of(mtime), _inode(inode), time_of(ctime))
        except ValueError as error:
            raise ResilienceError(
                _("the server's answer cannot be read"),
                option="server",
                value=tree.root,
                remedy=_("install GNU findutils there"),
            ) from error
        path = path.removeprefix("./")
        tier, _slash, name = path.partition("/")
        if tier not in tree.tier_names or "/" in name or name in ("", ".", ".."):
            continue
        match = companions.match_name(name, pattern)
        if letter != "f":
            kind = inventory.kind_of_file(_KINDS.get(letter, 0))
            tree.ignored.append(inventory.unfit(path, kind))
        elif not match:
            tree.ignored.append(inventory.readable(path))
        else:
            yield path, (*fields, inventory.moment_number(backup_names.taken_at(match)))


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _whole(text: str) -> int:
    """Return a number that a filesystem can hold.

    Raises:
        ValueError: it is none.
    """
    number = _number(text)
    if number is None or abs(number) >= 1 << 63:
        raise ValueError(text)
    return number


def _inode(text: str) -> int:
    number = _number(text) if len(text) < 20 else int(text) if text.isdecimal() else None
    if number is None or not 0 <= number < 1 << 64:
        raise ValueError(text)
    return number


def _moment(nanoseconds: str) -> int:
    """Return a time that a filesystem can hold, within bounds.

    Raises:
        ValueError: it is none.
    """
    number = _number(nanoseconds)
    if number is not None and abs(number) <= inventory.MOST_NS:
        return number
    # Seconds have 63 bits on some filesystems, whoever set them.
    return inventory.bounded_ns(_whole(nanoseconds[:-9]) * 10**9 + _whole(nanoseconds[-9:]))


def _nanoseconds(seconds: str) -> int:
    whole, _dot, fraction = seconds.partition(".")
    moment = _whole(whole) * 10**9 + _whole(fraction[:9].ljust(9, "0"))
    return inventory.bounded_ns(moment)
