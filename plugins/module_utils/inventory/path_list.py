# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of many paths in little memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .path_block import RowForm
from .path_table import PathTable

_NOTHING: RowForm[None] = RowForm("", lambda _value: (), lambda _path: None)


class PathList(Sequence[str]):
    """Paths in their order, each once; made of paths in any order."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        if isinstance(paths, PathTable):
            self.table: PathTable[None] = paths.view(_NOTHING)
            return
        self.table = PathTable(_NOTHING)
        self.update(paths)

    def add(self, path: str) -> None:
        """Add a path."""
        self.table.add(path, ())

    def update(self, paths: Iterable[str]) -> None:
        """Add several paths."""
        for path in paths:
            self.table.add(path, ())

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __contains__(self, path: object) -> bool:
        return path in self.table

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self.table.path_at(one) for one in range(*at.indices(len(self)))]
        return self.table.path_at(range(len(self))[at])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple, PathList)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"PathList({list(self)!r})"
