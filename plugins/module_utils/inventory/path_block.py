# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of a table of paths: sorted paths in one block, and how its values are kept."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar, cast

from .digest_column import DigestColumn

V = TypeVar("V")
# A field that is a SHA-256, hexadecimal; all others are type codes of `array`.
SHA256 = "h"


class RowForm(Generic[V]):
    """How the values of a table are kept.

    Args:
        codes: a letter for each field: `SHA256`, or a type code of `array`.
        fields: returns the fields of a value.
        value: returns the value of a path and its fields.
    """

    def __init__(
        self, codes: str, fields: Callable[[V], Iterable[Any]], value: Callable[..., V]
    ) -> None:
        self.codes, self.fields, self.value = codes, fields, value

    def columns(self) -> list[Any]:
        """Return empty columns."""
        return [DigestColumn() if code == SHA256 else array(code) for code in self.codes]


def encoded(path: str) -> bytes:
    """Return a path as bytes that sort as the paths do, whatever is in it."""
    return path.encode("utf-8", "surrogatepass")


class SortedPaths:
    """Paths, sorted, in one block of memory."""

    def __init__(self) -> None:
        self.block = bytearray()
        self.ends = array("Q")
        self.hint = 0

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, at: int) -> bytearray:
        return self.block[self.ends[at - 1] if at else 0 : self.ends[at]]

    def append(self, path: bytes) -> None:
        """Add a path that is behind all others."""
        self.block += path
        self.ends.append(len(self.block))

    def copy(self) -> SortedPaths:
        """Return a copy that may be changed."""
        copied = SortedPaths()
        copied.block, copied.ends = self.block[:], self.ends[:]
        return copied

    def place(self, path: bytes) -> tuple[int, bool]:
        """Return where a path is, or belongs, and whether it is there."""
        at, ends, block = self.hint, self.ends, self.block
        count = len(ends)
        begin = ends[at - 1] if at else 0
        # Slices of their own: this is what a lookup costs.
        seen: Any = block[begin : ends[at]] if at < count else None
        if seen == path:
            self.hint = at + 1
            return at, True
        before: Any = block[ends[at - 2] if at > 1 else 0 : begin] if at else None
        if before == path:
            return at - 1, True
        if (seen is None or seen > path) and (before is None or before < path):
            return at, False
        at = bisect.bisect_left(cast("Any", self), path)
        found = at < count and self[at] == path
        self.hint = at + found
        return at, found

    def __iter__(self) -> Iterator[str]:
        begin, block = 0, self.block
        for end in self.ends:
            yield block[begin:end].decode("utf-8", "surrogatepass")
            begin = end
