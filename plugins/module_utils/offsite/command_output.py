# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output of a command on the server: much of it is kept in a temporary file, not in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

# A list of 40,000 backups.
MOST_IN_MEMORY = 4 << 20
_PART = 1 << 20


class CommandOutput:
    """What a command has written.

    Args:
        content: the beginning.
    """

    def __init__(self, content: bytes = b"") -> None:
        # It is closed by `__del__`.
        self._file = tempfile.SpooledTemporaryFile(max_size=MOST_IN_MEMORY)  # noqa: SIM115
        self._length = 0
        self._tail = b""
        self.append(content)

    def __del__(self) -> None:
        self._file.close()

    def append(self, block: bytes) -> None:
        """Add a block.

        Raises:
            OSError: there is no room for it.
        """
        self._file.write(block)
        self._length += len(block)
        self._tail = block[-16:] if len(block) >= 16 else (self._tail + block)[-16:]

    def __len__(self) -> int:
        return self._length

    def endswith(self, ending: bytes) -> bool:
        """Return whether it ends so; the ending has 16 bytes at most."""
        return self._tail.endswith(ending)

    def parts(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the output from one byte to another, not all of it in memory at a time."""
        left = (self._length if end is None else end) - begin
        while left > 0:
            self._file.seek(begin)
            part = self._file.read(min(left, _PART))
            self._file.seek(0, 2)
            if not part:
                return
            begin += len(part)
            left -= len(part)
            yield part

    def find(self, sought: bytes) -> int:
        """Return where some bytes are first; -1 where they are not."""
        at, before = 0, b""
        for part in self.parts():
            block = before + part
            found = block.find(sought)
            if found >= 0:
                return at - len(before) + found
            at += len(part)
            before = block[-len(sought) :]
        return -1

    def whole(self) -> bytes:
        """Return all of it."""
        return b"".join(self.parts())

    def records(self, begin: int, end: int, separator: bytes = b"\0") -> Iterator[bytes]:
        """Yield what stands between separators, from one byte to another."""
        rest = b""
        for part in self.parts(begin, end):
            *whole, rest = (rest + part).split(separator)
            yield from whole
        if rest or begin < end:
            yield rest
