# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server holds of sealed backups, sorted by backup.

Almost every backup of a copy is held as the ledger has it. Of those only a row of a table is kept;
what the server holds of the others is kept as it was listed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from ..inventory import companions, sealed_names
from ..inventory.inventory import BackupFile


@dataclasses.dataclass
class HeldBackup:
    """What the server holds of one backup.

    Attributes:
        files: of its sealed form, by name.
        plain: the backup as it was copied before copies were sealed.
        beside: the files that belong to that one.
    """

    files: dict[str, BackupFile] = dataclasses.field(default_factory=dict)
    plain: BackupFile | None = None
    beside: list[BackupFile] = dataclasses.field(default_factory=list)

    def shown(self, path: str) -> BackupFile:
        """Return the file that stands for a backup: sealed, plain, or what is left beside it."""
        sealed = self.files.get(sealed_names.sealed(path))
        return sealed or self.plain or next(iter((*self.files.values(), *self.beside)))


def by_backup(
    files: Iterable[BackupFile], pattern: re.Pattern[str], other: list[BackupFile]
) -> Iterator[tuple[str, HeldBackup]]:
    """Yield each backup with what is held of it.

    What a killed move left beside a backup that is gone counts as that backup: the next sync moves
    it, too.

    Args:
        files: in the order of their paths.
        pattern: of the names of backups.
        other: takes the files that belong to none.
    """
    # The names of a backup's files begin with its own, so they follow one another, with only those
    # of backups between them whose names begin so as well.
    begun: list[tuple[str, HeldBackup]] = []
    for file in files:
        while begun and not file.path.startswith(begun[-1][0]):
            yield begun.pop()
        sealed = sealed_names.match(file.name, pattern)
        is_backup = not sealed and companions.match_name(file.name, pattern)
        if not sealed and not is_backup:
            other.append(file)
            continue
        owner = f"{file.tier}/{sealed.backup}" if sealed else companions.owner(file.path)
        path = owner or file.path
        held = next((one for known, one in begun if known == path), None)
        if held is None:
            held = HeldBackup()
            begun.append((path, held))
        if sealed:
            held.files[file.path] = file
        elif owner:
            held.beside.append(file)
        else:
            held.plain = file
    while begun:
        yield begun.pop()
