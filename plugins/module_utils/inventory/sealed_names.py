# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of sealed backups: `x.dump.gz.age`, and of what lies beside each.

Beside a sealed backup lie its sealed manifest (`x.dump.gz.manifest.json.age`) and, on the server,
its signed link (`x.dump.gz.link`). Client and server share these rules.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from . import backup_names, companions

SEALED = backup_names.SEALED
LINK = ".link"
# With these bytes begins a file that age encrypted (age-encryption.org/v1): binary, or as text.
_MARKS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
HEAD_BYTES = max(map(len, _MARKS))
# Files that are sealed with a backup where they lie beside it.
BESIDE = backup_names.COMPANIONS
# The longer endings come first.
_ENDINGS = (LINK, *(f"{ending}{SEALED}" for ending in BESIDE), SEALED)


class SealedName(NamedTuple):
    """What the name of a file of a sealed copy says.

    Attributes:
        backup: the backup's own name or path, without the endings of sealing.
        ending: `.age` for the backup itself, else the ending of what lies beside it.
    """

    backup: str
    ending: str

    @property
    def is_backup(self) -> bool:
        """Whether it is the backup itself, not what lies beside it."""
        return self.ending == SEALED


def is_sealed(head: bytes) -> bool:
    """Return whether a file that begins with `head` was encrypted by age."""
    return head.startswith(_MARKS)


def plain(path: str) -> str:
    """Return the path of a backup without the ending of a sealed one."""
    return path[: -len(SEALED)] if path.endswith(SEALED) else path


def stored(path: str) -> str:
    """Return where a backup lies on this host: sealed, where there is no plain one."""
    if not os.path.lexists(path) and os.path.lexists(sealed(path)):
        return sealed(path)
    return path


def stored_beside(path: str) -> dict[str, str]:
    """Return the files that lie beside a backup of this host, plain or sealed, by their ending.

    Args:
        path: of the backup, without the ending of a sealed one.
    """
    found = {ending: stored(path + ending) for ending in BESIDE}
    return {
        ending: one
        for ending, one in found.items()
        if os.path.isfile(one) and not os.path.islink(one)
    }


def sealed(path: str) -> str:
    """Return the path of a sealed backup."""
    return path + SEALED


def link(path: str) -> str:
    """Return the path of a backup's signed link."""
    return path + LINK


def beside(path: str) -> tuple[str, ...]:
    """Return the paths of all that may lie beside a sealed backup."""
    return (path + LINK, *(f"{path}{ending}{SEALED}" for ending in BESIDE))


def match(name: str, pattern: re.Pattern[str]) -> SealedName | None:
    """Return what the name of a file of a sealed copy says; None where it is no such name.

    Args:
        name: of a file, without its folder.
        pattern: of `backup_names.compiled`.
    """
    if not name.endswith((LINK, SEALED)):  # most names of a copy that is not sealed
        return None
    for ending in _ENDINGS:
        if name.endswith(ending):
            backup = name[: -len(ending)]
            if pattern.match(backup) and backup_names.match_name(backup, pattern):
                return SealedName(backup, ending)
    return None


def match_stored(name: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Return the match of a plain or sealed backup's name, or of what lies beside one."""
    found = match(name, pattern)
    return companions.match_name(found.backup if found else name, pattern)


def owner(path: str, pattern: re.Pattern[str]) -> str:
    """Return the backup that a file is, or lies beside, without the ending of a sealed one."""
    if companions.is_companion(path):
        return companions.owner(path)
    folder, slash, name = path.rpartition("/")
    found = match(name, pattern)
    return f"{folder}{slash}{found.backup}" if found else path


def is_beside(name: str, pattern: re.Pattern[str]) -> bool:
    """Return whether a name, or path, is of a file that lies beside a backup."""
    if companions.is_companion(name):
        return True
    found = match(name.rpartition("/")[2], pattern)
    return found is not None and not found.is_backup
