# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup server holds, asked in one ssh call, and the digests of it in another.

The script's text is fixed, and everything that varies is an argument; its records end with NUL, so
that a file name may hold anything. An answer without its last record counts as no answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Sequence

from ..common.errors import ResilienceError
from ..common.messages import _, from_form, join
from ..inventory import inventory
from ..inventory.digest_cache import Identity
from . import ssh, ssh_request

# One line and no `!`, for the account's shell may be any. What it writes, each ending with NUL:
# absent | nowhere (the folder above is not there either) | closed | rsync VERSION | room DF-LINE
# link TIER | missing TIER | unreadable TIER
# file TYPE SIZE MTIME INODE CTIME PATH | end
# Of the server's gate (`gate`) come also: gate PROTOCOL confined|loose | free BYTES
# alarm KIND SINCE WORDS | said KIND FORM (JSON) | entry TYPE SIZE MTIME_NS INODE CTIME_NS PATH
_LIST = "; ".join(
    (
        'cd -- "$1" 2>/dev/null || { if test -e "$1"; then printf "closed\\0"; '
        'else printf "absent\\0"; test -d "$(dirname -- "$1")" || '
        'printf "nowhere\\0"; fi; printf "end\\0"; exit 0; }',
        "shift",
        'printf "rsync %s\\0" "$(rsync --version 2>/dev/null | head -n 1)"',
        'printf "room %s\\0" "$(df -Pk . 2>/dev/null | tail -n 1)"',
        'for tier do if test -L "$tier"; then printf "link %s\\0" "$tier"; '
        'elif test -d "$tier"; then '
        'find "./$tier" -mindepth 1 -maxdepth 1 -printf "file %y %s %T@ %i %C@ %p\\0" '
        '|| printf "unreadable %s\\0" "$tier"; '
        'else printf "missing %s\\0" "$tier"; fi; done',
        'printf "end\\0"',
    )
)
# sha256sum writes each line at once, so that several may write to one pipe; that holds for lines
# only, so names with a line break come escaped (a backslash before the digest says so).
# An empty line each second says that it is still at work. `$!` is put together from its parts.
_DIGESTS = "; ".join(
    (
        "(while sleep 1 </dev/null >/dev/null 2>&1; do echo; done) & "
        'xargs -0 -r -n 8 -P "$(nproc)" sha256sum -b --',
        r'eval "kill \$$(printf \\041)"',
        "echo end",
    )
)
_TAKE_DIGESTS = f'cd -- "$1" || exit; {_DIGESTS}'
# The last record of a list, and the one before it ends with NUL as well.
LIST_END = b"\0end\0"
_DIGEST = re.compile(r"([0-9a-f]{64}) [ *](.*)", re.DOTALL)
_KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO}


@dataclasses.dataclass(frozen=True)
class Remote:
    """The server's folder.

    Attributes:
        exists: whether the folder is there.
        can_be_made: whether rsync can make it: the folder above it is there.
        tree: what it holds, without digests; nothing where it does not exist.
        rsync: the server's version of rsync, `3.2.7`; None where it has none.
        room: bytes that we may still write there; None where it does not say.
        identities: each backup's identity there, for the cache of digests.
        gate: the protocol of the server's gate; None where the account runs any command.
        confined: whether the kernel there keeps rsync in the gate's folder.
        alarms: what the server's own job found wrong, in words.
        keeps_times: whether it keeps a file's time of change; otherwise sizes alone are compared
            before something is sent.
        listing: one word for the whole list: the same again means the same files with the same
            sizes, times and inodes. Empty where there is none.
        same: whether the list is the one that was known, so that it was not read: `tree` and
            `identities` are empty.
    """

    exists: bool
    can_be_made: bool
    tree: inventory.Inventory
    rsync: str | None
    room: int | None
    identities: dict[str, Identity] = dataclasses.field(default_factory=dict)
    gate: int | None = None
    confined: bool = False
    alarms: tuple[str, ...] = ()
    keeps_times: bool = True
    listing: str = ""
    same: bool = False


def list_words(
    destination: ssh.Destination, tiers: Sequence[str], *, digests: bool = False
) -> list[str]:
    """The command by which an account that runs any command tells what the folder holds; `parse`
    reads the answer. A tier that is not there is empty: rsync makes it.

    Args:
        digests: whether it goes on, after `LIST_END`, as `digest_words` does.
    """
    script = f"{_LIST}; {_DIGESTS}" if digests else _LIST
    return ssh_request.shell_words(script, destination.path, *tiers)


def digest_words(destination: ssh.Destination) -> list[str]:
    """The command by which an account that runs any command takes the SHA-256 of files;
    `digest_input` tells it which, `parse_sums` reads the answer."""
    return ssh_request.shell_words(_TAKE_DIGESTS, destination.path)


def digest_input(paths: Sequence[str]) -> bytes:
    """What `digest_words` is told."""
    return b"".join(os.fsencode(f"./{path}") + b"\0" for path in paths)


def parse_sums(answer: bytes, root: str) -> dict[str, str]:
    """Digests by path, as sha256sum writes them; a file that could not be read has none.

    Raises:
        ResilienceError: the answer is not whole.
    """
    lines = [_unescaped(line) for line in answer.split(b"\n")]
    return parse_digests(b"\0".join(lines), root)


def _unescaped(line: bytes) -> bytes:
    """A line of sha256sum without its escapes (coreutils manual, "md5sum invocation")."""
    if not line.startswith(b"\\"):
        return line
    plain = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}
    return re.sub(rb"\\([nr\\])", lambda found: plain[found[1]], line[1:])


def parse_digests(answer: bytes, root: str) -> dict[str, str]:
    """Digests by path.

    Raises:
        ResilienceError: the answer is not whole.
    """
    found = {}
    for record in _records(answer, root):
        if known := _DIGEST.fullmatch(os.fsdecode(record)):
            found[known[2].removeprefix("./")] = known[1]
    return found


def _records(answer: bytes, root: str) -> list[bytes]:
    records = answer.split(b"\0")
    if records[-2:] != [b"end", b""]:
        raise ResilienceError(
            "the server's answer is not whole",
            option="server",
            value=root,
            remedy="make sure that the account's shell prints nothing of its own, that "
            "offsite_backup_server_mode is what the server is set up for, and try again",
        )
    return records[:-2]


@dataclasses.dataclass(frozen=True)
class _Listed:
    letter: str
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int


def parse(answer: bytes, root: str, tiers: Sequence[str], pattern: str, known: str = "") -> Remote:
    """Reads the server's answer. What it says is judged, not trusted: only names directly in one of
    our tiers count.

    Args:
        answer: what the server wrote.
        root: what to call its folder.
        tiers: the tiers that count.
        pattern: regular expression for the names of backups.
        known: the word for a list that need not be read again.

    Raises:
        ResilienceError: the answer is not whole, or the folder may not be entered.
    """
    records = _records(answer, root)
    if b"closed" in records:
        raise ResilienceError(
            "the folder on the server cannot be entered",
            option="server_path",
            value=root,
            remedy="let the account own it",
        )
    tree = inventory.Inventory(root, [], tuple(tiers))
    version: str | None = None
    room: int | None = None
    gate: int | None = None
    confined = False
    alarms: dict[str, tuple[str, str]] = {}
    listed: dict[str, _Listed] = {}
    short = [record for record in records if not record.startswith(_OF_FILES)]
    listing = _word_for(record for record in records if record.startswith(_OF_LIST))
    same = bool(known) and listing == known
    for record in map(os.fsdecode, short if same else records):
        kind, _space, rest = record.partition(" ")
        if kind == "rsync":
            found = re.search(r"version v?(\d+(\.\d+)+)", rest)
            version = found[1] if found else None
        elif kind == "room":
            fields = rest.split()
            room = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
        elif kind == "free":
            room = int(rest) if rest.isdigit() else None
        elif kind == "gate":
            number, _space, kept = rest.partition(" ")
            gate, confined = (int(number) if number.isdigit() else 0), kept == "confined"
        elif kind == "alarm":
            name, _space, rest = rest.partition(" ")
            since, _space, saw = rest.partition(" ")
            alarms[name] = (since, inventory.readable(saw))
        elif kind == "said":
            # The same for pages of another language; a form that is none changes nothing.
            name, _space, form = rest.partition(" ")
            with contextlib.suppress(ValueError, KeyError):
                since, saw = alarms[name]
                alarms[name] = (since, from_form(json.loads(form), saw))
        elif kind in ("file", "entry"):
            path, seen = _listed(rest, root, whole=kind == "entry")
            listed[path.removeprefix("./")] = seen
        elif kind == "link":
            why = _("symbolic link, not followed")
            tree.problems.append(join([inventory.readable(rest), why], ": "))
        elif kind == "unreadable":
            why = _("cannot be read whole")
            tree.problems.append(join([inventory.readable(rest), why], ": "))
    identities = _fill(tree, listed, inventory.compiled(pattern))
    return Remote(
        b"absent" not in records,
        b"nowhere" not in records,
        tree,
        version,
        room,
        identities,
        gate,
        confined,
        tuple(
            _("%(kind)s since %(since)s: %(saw)s", kind=name, since=since, saw=saw)
            for name, (since, saw) in alarms.items()
        ),
        listing=listing,
        same=same,
    )


_OF_FILES = (b"entry ", b"file ")
_OF_LIST = (*_OF_FILES, b"link ", b"missing ", b"unreadable ")


def _word_for(records: Iterable[bytes]) -> str:

    return hashlib.sha256(b"\0".join(records)).hexdigest()


def _listed(rest: str, root: str, *, whole: bool) -> tuple[str, _Listed]:
    """Path and what is told of one `file` or `entry` record; whole numbers are nanoseconds."""
    time_of = int if whole else _nanoseconds
    try:
        letter, size, moment, inode, change, path = rest.split(" ", 5)
        return path, _Listed(letter, int(size), time_of(moment), int(inode), time_of(change))
    except ValueError as error:
        raise ResilienceError(
            "the server's answer cannot be read",
            option="server",
            value=root,
            remedy="install GNU findutils there",
        ) from error


def _nanoseconds(seconds: str) -> int:
    whole, _dot, fraction = seconds.partition(".")
    return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0"))


def _fill(
    tree: inventory.Inventory, listed: dict[str, _Listed], pattern: re.Pattern[str]
) -> dict[str, Identity]:
    identities: dict[str, Identity] = {}
    for path, seen in sorted(listed.items()):
        tier, _slash, name = path.partition("/")
        if tier not in tree.tier_names or "/" in name or name in ("", ".", ".."):
            continue
        match = pattern.match(name)
        if seen.letter != "f":
            kind = inventory.kind_of_file(_KINDS.get(seen.letter, 0))
            tree.ignored.append(f"{inventory.readable(path)} ({kind})")
        elif not match:
            tree.ignored.append(inventory.readable(path))
        else:
            taken = inventory.taken_at(match)
            tree.files.append(
                inventory.BackupFile(path, tier, seen.size, seen.mtime_ns, None, taken)
            )
            identities[path] = (seen.size, seen.mtime_ns, seen.inode, seen.ctime_ns)
    return identities
