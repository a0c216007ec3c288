# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client writes to the gate's standard input: bounded, and read part by part."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from typing import IO, cast

from ..common.messages import _

# An inventory of 1,000,000 backups has 130 MB.
MOST_INPUT = 160 << 20
_BLOCK = 1 << 20


class Refused(Exception):
    """The request is not allowed; `reason` is translatable."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def whole() -> bytes:
    """Return all of the input.

    Raises:
        Refused: it is more than an inventory can have.
    """
    content = sys.stdin.buffer.read(MOST_INPUT + 1)
    if len(content) > MOST_INPUT:
        raise Refused(_("more input than an inventory can have"))
    return content


def names(content: bytes) -> Iterator[str]:
    """Yield the names of an input, each ended by NUL, not all of them in memory at a time."""
    at = 0
    while at < len(content):
        end = content.find(b"\0", at)
        end = len(content) if end < 0 else end
        if end > at:
            yield os.fsdecode(content[at:end])
        at = end + 1


def text(begun: bytes = b"") -> IO[str]:
    """Return the input as a text file that can only be read.

    Args:
        begun: what was read of it already.
    """
    return cast("IO[str]", _Text(begun))


class _Text(io.TextIOBase):
    def __init__(self, begun: bytes) -> None:
        self._begun = begun
        self._left = MOST_INPUT
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int | None = -1) -> str:
        """Return some characters; none at the end.

        Raises:
            Refused: it is more than an inventory can have.
        """
        while True:
            block = self._begun or os.read(sys.stdin.fileno(), max(size or 0, _BLOCK))
            self._begun = b""
            self._left -= len(block)
            if self._left < 0:
                raise Refused(_("more input than an inventory can have"))
            characters = self._decoder.decode(block, final=not block)
            if characters or not block:
                return characters
