# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which old backups a new one makes superfluous.

Only backups of the same name and ending count, as the command that rotates makes them, sealed or
not: a tier may hold those of another database. Names in the future are left alone.
"""

from __future__ import annotations

import os
import re

from ..common.errors import ResilienceError
from ..common.messages import _
from ..inventory import backup_names, sealed_names
from .backup_choice import CONTENTS, FOLDER_NAME, size

# A new backup below this share of the one before it rotates nothing.
LEAST_SHARE = 0.5


def beside(backup: str) -> list[str]:
    """Return the paths of what belongs to a backup."""
    plain = sealed_names.plain(backup)
    return [
        plain + ending + form
        for ending in sealed_names.BESIDE
        for form in ("", sealed_names.SEALED)
    ]


def surplus(newest: str, pattern: str, keep: int) -> list[str]:
    """Return the backups that go, the oldest first.

    Args:
        newest: the path of the backup that was just made.
        pattern: of the tree.
        keep: how many stay, the newest included.

    Raises:
        ResilienceError: the newest is so small that nothing should go.
        OSError: the tier cannot be read.
    """
    folder, name = os.path.split(newest)
    kind = os.path.isdir(newest)
    family = _family(name, pattern, kind)
    found = []
    for entry in os.scandir(folder):
        other = _family(entry.name, pattern, kind)
        whole = (
            os.path.isfile(os.path.join(entry.path, CONTENTS))
            if kind
            else entry.is_file(follow_symlinks=False)
        )
        if family and other and other[0] == family[0] and other[1] <= family[1] and whole:
            found.append((other[1], entry.path))
    paths = [path for _moment, path in sorted(found)]
    if len(paths) > 1 and size(newest) < LEAST_SHARE * size(paths[-2]):
        raise ResilienceError(
            _(
                "the new backup has %(new)d bytes, the one before it %(old)d",
                new=size(newest),
                old=size(paths[-2]),
            ),
            option="--keep",
            value=keep,
            remedy=_("look whether the database lost data; remove old backups by hand"),
        )
    return paths[:-keep]


def _family(name: str, pattern: str, folder: bool) -> tuple[str, str] | None:
    """Return the fixed part of a backup's name and its moment; None for other names."""
    match: re.Match[str] | None
    if folder:
        match = None if name.startswith(".") else FOLDER_NAME.search(name)
    else:
        match = backup_names.match_name(name, backup_names.compiled(pattern))
    moment = backup_names.taken_at(match) if match else None
    if match is None or moment is None:
        return None
    spans = [match.span(group) for group in match.groupdict() if match.span(group) != (-1, -1)]
    first, last = min(start for start, _end in spans), max(end for _start, end in spans)
    plain = match.string
    return f"{plain[:first]}*{plain[last:]}", moment
