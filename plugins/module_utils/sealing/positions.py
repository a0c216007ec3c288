# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a signed link stands in its chain."""

from __future__ import annotations

import dataclasses
import re

_POSITION = re.compile(r"([^/\s]+)/([1-9][0-9]{0,17})/([0-9a-f]{64})")


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a link stands: its chain, its number in it, and the digest of what was signed."""

    chain: str
    number: int
    sha256: str = ""

    @property
    def order(self) -> tuple[str, int]:
        """Positions of one host in their order: the name of a chain begins with its time."""
        return self.chain, self.number

    def __str__(self) -> str:
        return f"{self.chain}/{self.number}/{self.sha256}"

    @classmethod
    def from_text(cls, text: str) -> Position:
        """Return the position that `str` wrote.

        Raises:
            ValueError: it is none.
        """
        match = _POSITION.fullmatch(text.strip())
        if match is None:
            raise ValueError(text)
        return cls(match[1], int(match[2]), match[3])
