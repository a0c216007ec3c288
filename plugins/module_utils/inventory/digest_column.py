# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many SHA-256 digests in one block of memory: a column of a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_DIGEST_BYTES = 32
_PART_BYTES = _DIGEST_BYTES << 14


class DigestColumn:
    """SHA-256 digests, 32 bytes each; one that is not known is an empty text."""

    def __init__(self, content: bytes | bytearray = b"") -> None:
        self.content = bytearray(content)

    @classmethod
    def unknown(cls, count: int) -> DigestColumn:
        """Return a column of so many digests that are not known yet."""
        return cls(bytes(count * _DIGEST_BYTES))

    def __len__(self) -> int:
        return len(self.content) // _DIGEST_BYTES

    def append(self, digest: str) -> None:
        """Add a digest.

        Raises:
            ValueError: it is none.
        """
        self.content += _packed(digest)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            begin, end = (at.start or 0) * _DIGEST_BYTES, at.stop
            whole = self.content[begin : None if end is None else end * _DIGEST_BYTES]
            return DigestColumn(whole)
        part = self.content[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES]
        return part.hex() if any(part) else ""

    def __setitem__(self, at: int, digest: str) -> None:
        self.content[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES] = _packed(digest)

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self.content), _PART_BYTES):
            block = bytes(self.content[begin : begin + _PART_BYTES])
            for at in range(0, len(block), _DIGEST_BYTES):
                part = block[at : at + _DIGEST_BYTES]
                yield part.hex() if any(part) else ""

    def extend(self, other: DigestColumn) -> None:
        """Add the digests of another column."""
        self.content += other.content

    @property
    def is_complete(self) -> bool:
        """Whether every digest is known."""
        return not self.content.count(bytes(_DIGEST_BYTES)) or all(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DigestColumn) and self.content == other.content

    __hash__ = None  # type: ignore[assignment]


def _packed(digest: str) -> bytes:
    if not digest:
        return bytes(_DIGEST_BYTES)
    packed = bytes.fromhex(digest)
    if len(packed) != _DIGEST_BYTES:
        raise ValueError(digest[:100])
    return packed
