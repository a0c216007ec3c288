# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories with printable file names.

Ansible accepts no results with bytes that are not UTF-8, and a page or a log must not hold control
characters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from ..common.messages import _, join
from .inventory import BackupFile, Inventory, readable
from .path_list import PathList
from .path_table import PathTable


def printable(tree: Inventory) -> Inventory:
    """Return the same inventory with every name escaped for people.

    Names that are the same once escaped are a problem of the inventory, so that two trees that
    differ in them never count as equal.
    """
    files = [file._replace(path=readable(file.path)) for file in tree.files]
    return dataclasses.replace(tree, files=files, problems=printable_problems(tree))


def printable_problems(tree: Inventory) -> list[str]:
    """Return the problems of an inventory, names that are the same once escaped included."""
    problems = list(tree.problems)
    if all(path.isprintable() for path in tree.states):
        return problems
    seen: set[str] = set()
    for path in map(readable, tree.states):
        if path in seen:
            why = _("two names that look the same once escaped")
            problems.append(join([path, why], ": "))
        seen.add(path)
    return problems


class ReadablePaths(Sequence[str]):
    """Paths for people, in their order; each is escaped when it is needed.

    Args:
        table: a table of the paths.
    """

    def __init__(self, table: PathTable[Any]) -> None:
        self._paths = PathList(table)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return map(readable, self._paths)

    def __getitem__(self, at: Any) -> Any:
        found = self._paths[at]
        return [readable(path) for path in found] if isinstance(at, slice) else readable(found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


class ReadableFiles(Sequence["dict[str, Any]"]):
    """Backups as plain values, their paths escaped for people; each is made when it is needed.

    Args:
        files: the backups.
    """

    def __init__(self, files: Sequence[BackupFile]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(_plain, self._files)

    def __getitem__(self, at: Any) -> Any:
        found = self._files[at]
        return list(map(_plain, found)) if isinstance(at, slice) else _plain(found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _plain(file: BackupFile) -> dict[str, Any]:
    return file._replace(path=readable(file.path))._asdict()
