# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup server holds, asked in one ssh call.

The script's text is fixed, and everything that varies is an argument; its records end with NUL, so
that a file name may hold anything. An answer without its last record counts as no answer.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Sequence

from . import inventory, ssh
from .errors import ResilienceError

# One line and no `!`, for the account's shell may be any. What it writes, each ending with NUL:
# absent | nowhere (the folder above is not there either) | closed | rsync VERSION | room DF-LINE
# link TIER | missing TIER | unreadable TIER
# file TYPE SIZE MTIME PATH | SHA256  PATH | end
_LIST = "; ".join(
    (
        'cd -- "$1" 2>/dev/null || { if test -e "$1"; then printf "closed\\0"; '
        'else printf "absent\\0"; test -d "$(dirname -- "$1")" || '
        'printf "nowhere\\0"; fi; printf "end\\0"; exit 0; }',
        "digest=$2",
        "shift 2",
        'printf "rsync %s\\0" "$(rsync --version 2>/dev/null | head -n 1)"',
        'printf "room %s\\0" "$(df -Pk . 2>/dev/null | tail -n 1)"',
        'for tier do if test -L "$tier"; then printf "link %s\\0" "$tier"; '
        'elif test -d "$tier"; then '
        'find "./$tier" -mindepth 1 -maxdepth 1 -printf "file %y %s %T@ %p\\0" '
        '|| printf "unreadable %s\\0" "$tier"; '
        # Few names a call: each sha256sum then writes its answer with one write, which a pipe
        # keeps whole, so that several may write to the same one.
        'if test "$digest" = yes; then find "./$tier" -mindepth 1 -maxdepth 1 -type f '
        '-print0 | xargs -0 -r -n 8 -P "$(nproc)" sha256sum -b -z --; fi; '
        'else printf "missing %s\\0" "$tier"; fi; done',
        'printf "end\\0"',
    )
)
_DIGEST = re.compile(r"([0-9a-f]{64}) [ *](.*)", re.DOTALL)
_KINDS = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO}


@dataclasses.dataclass(frozen=True)
class Remote:
    """The server's folder.

    Attributes:
        exists: whether the folder is there.
        can_be_made: whether rsync can make it: the folder above it is there.
        tree: what it holds; nothing where it does not exist.
        rsync: the server's version of rsync, `3.2.7`; None where it has none.
        room: bytes that we may still write there; None where it does not say.
    """

    exists: bool
    can_be_made: bool
    tree: inventory.Inventory
    rsync: str | None
    room: int | None


def look(
    destination: ssh.Destination, tiers: Sequence[str], pattern: str, *, digest: bool
) -> Remote:
    """Asks the server what it holds.

    Args:
        destination: the server.
        tiers: the tiers to look at. One that is not there is empty: rsync makes it.
        pattern: regular expression for the names of backups.
        digest: whether the server reads every file and tells its SHA-256.

    Raises:
        ResilienceError: the server could not be asked, or did not answer to the end.
    """
    answer = ssh.run(destination, _LIST, destination.path, "yes" if digest else "no", *tiers)
    return parse(answer, str(destination), tiers, pattern, digest=digest)


def parse(answer: bytes, root: str, tiers: Sequence[str], pattern: str, *, digest: bool) -> Remote:
    """Reads the server's answer. What it says is judged, not trusted: only names directly in one of
    our tiers count.

    Raises:
        ResilienceError: the answer is not whole, or the folder may not be entered.
    """
    records = [os.fsdecode(record) for record in answer.split(b"\0")]
    if records[-2:] != ["end", ""]:
        raise ResilienceError(
            "the server's answer is not whole",
            option="server",
            value=root,
            remedy="make sure that the account's shell prints nothing of its own, and try again",
        )
    if "closed" in records:
        raise ResilienceError(
            "the folder on the server cannot be entered",
            option="server_path",
            value=root,
            remedy="let the account own it",
        )
    tree = inventory.Inventory(root, [], tuple(tiers))
    version: str | None = None
    room: int | None = None
    digests: dict[str, str] = {}
    listed: list[tuple[str, str, int, int]] = []
    for record in records[:-2]:
        kind, _space, rest = record.partition(" ")
        if known := _DIGEST.fullmatch(record):
            digests[known[2].removeprefix("./")] = known[1]
        elif kind == "rsync":
            found = re.search(r"version v?(\d+(\.\d+)+)", rest)
            version = found[1] if found else None
        elif kind == "room":
            fields = rest.split()
            room = int(fields[3]) * 1024 if len(fields) > 3 and fields[3].isdigit() else None
        elif kind == "file":
            listed.append(_listed(rest, root))
        elif kind == "link":
            tree.problems.append(f"{inventory.readable(rest)}: symbolic link, not followed")
        elif kind == "unreadable":
            tree.problems.append(f"{inventory.readable(rest)}: cannot be read whole")
    _fill(tree, listed, digests if digest else None, inventory._compiled(pattern))
    return Remote("absent" not in records, "nowhere" not in records, tree, version, room)


def _listed(rest: str, root: str) -> tuple[str, str, int, int]:
    """Type, path, size and time in nanoseconds of one `file` record."""
    try:
        letter, size, moment, path = rest.split(" ", 3)
        seconds, _dot, fraction = moment.partition(".")
        return letter, path, int(size), int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
    except ValueError as error:
        raise ResilienceError(
            "the server's answer cannot be read",
            option="server",
            value=root,
            remedy="install GNU findutils there",
        ) from error


def _fill(
    tree: inventory.Inventory,
    listed: Sequence[tuple[str, str, int, int]],
    digests: dict[str, str] | None,
    pattern: re.Pattern[str],
) -> None:
    for letter, raw, size, mtime_ns in sorted(listed):
        path = raw.removeprefix("./")
        tier, _slash, name = path.partition("/")
        if tier not in tree.tier_names or "/" in name or name in ("", ".", ".."):
            continue
        match = pattern.match(name)
        if letter != "f":
            kind = inventory._kind(_KINDS.get(letter, 0))
            tree.ignored.append(f"{inventory.readable(path)} ({kind})")
        elif not match:
            tree.ignored.append(inventory.readable(path))
        elif digests is not None and path not in digests:
            tree.problems.append(f"{inventory.readable(path)}: the server could not read it")
        else:
            tree.files.append(
                inventory.BackupFile(
                    path,
                    tier,
                    size,
                    mtime_ns,
                    digests[path] if digests is not None else None,
                    inventory.taken_at(match),
                )
            )
    tree.files.sort(key=lambda file: file.path)
