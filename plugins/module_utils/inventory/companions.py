# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that belong to a backup: its manifest, the roles of its server, its digest.

They travel with their backup and go with it, and are never taken for one. Beside a backup that
lies sealed they are sealed, too: `x.dump.gz.manifest.json.age`. Client and server share these
rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from . import backup_names
from .path_table import PathTable

_PLAIN = backup_names.COMPANIONS
# Plain ones and sealed ones.
ENDINGS = (*_PLAIN, *(ending + backup_names.SEALED for ending in _PLAIN))
Value = TypeVar("Value")


def is_companion(path: str) -> bool:
    """Return whether a name, or path, is of a file that belongs to a backup."""
    return path.endswith(ENDINGS)


def owner(path: str) -> str:
    """Return the backup that a file belongs to, without the ending of a sealed one.

    Empty where the file belongs to none.
    """
    if not is_companion(path):  # most names
        return ""
    backup = next(path[: -len(ending)] for ending in ENDINGS if path.endswith(ending))
    # A digest may be that of a sealed file: `x.dump.gz.age.sha256`.
    return backup[: -len(backup_names.SEALED)] if backup.endswith(backup_names.SEALED) else backup


def left_behind(files: Iterable[str], exists: Callable[[str], bool]) -> list[str]:
    """Return the files that belong to a backup which is gone.

    Args:
        files: paths.
        exists: returns whether something, of whatever kind, has a path.
    """
    found = []
    for path in files:
        backup = owner(path)
        if backup and not (exists(backup) or exists(backup + backup_names.SEALED)):
            found.append(path)
    return found


def match_name(name: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Return the match of a backup's name, or of the backup that a file belongs to.

    Args:
        name: of a file, without its folder.
        pattern: of `backup_names.compiled`.
    """
    return backup_names.match_name(owner(name) or name, pattern)


def without(files: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the backups alone among files by path; the same mapping where there is nothing else.

    Most trees of many backups hold them alone, which a table shows at once.
    """
    if isinstance(files, PathTable):
        return files.without(is_companion) if files.has_text(*_PLAIN) else files
    return {path: value for path, value in files.items() if not is_companion(path)}
