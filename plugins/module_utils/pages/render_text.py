# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of every text page: lines of 80 columns, marks and colours."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterator

from ..common.levels import LEVEL_DISPLAY

WIDTH = 80
_columns = WIDTH

WORST_FIRST = ("emergency", "critical", "warning", "unknown", "ok")

# Each status of a check with its mark and its ANSI colour.
STATUSES = {
    "passed": ("✅", "32"),
    "failed": ("❌", "1;31"),
    "skipped": ("⚪", "33"),
    "unknown": ("❓", "35"),
}

_ANSI = r"\x1b\[[0-9;]*m"


def width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    columns = 0
    for character in re.sub(_ANSI, "", text):
        if character == "\N{VARIATION SELECTOR-16}":
            columns += 1  # it makes the character before it an emoji, two columns wide
        elif not unicodedata.combining(character):
            columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return columns


def wrap(text: str, indent: int) -> list[str]:
    """Return the text as lines of at most `WIDTH` columns, or of those of `lines_of`.

    Lines break at spaces only, so that paths and file names can be copied.

    Args:
        text: its leading spaces stay on the first line.
        indent: spaces before each further line.
    """
    lines: list[str] = []
    margin = " " * (len(text) - len(text.lstrip(" ")))
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else margin + word
        if line and width(longer) > _columns:
            lines.append(line)
            margin = " " * indent
            line = margin + word
        else:
            line = longer
    lines.append(line)
    return lines


@contextlib.contextmanager
def lines_of(columns: int) -> Iterator[None]:
    """Let pages have shorter lines than `WIDTH` within the block, for a narrow terminal."""
    global _columns
    before, _columns = _columns, min(WIDTH, columns)
    try:
        yield
    finally:
        _columns = before


def fitted(page: str, columns: int) -> str:
    """Return a page whose frames, and lines that were not wrapped, fit into a narrow terminal."""
    lines: list[str] = []
    for line in page.split("\n"):
        if width(line) <= columns:
            lines.append(line)
        elif line[0] in "╔╚":
            lines.append(line[0] + "═" * (columns - 2) + line[-1])
        elif line[0] == "║":
            lines.append(f"║{centred(line.strip('║ '), columns - 2)}║")
        else:
            indent = len(line) - len(line.lstrip(" "))
            lines += wrap(line, min(indent + 3, columns // 2))
    return "\n".join(lines)


def centred(text: str, columns: int) -> str:
    """Return the text in the middle of that many columns, cut if it is longer."""
    # Not one by one from a long end; a column has few characters, combining ones with them.
    text = text[: max(0, 4 * columns)]
    while text and width(text) > columns:
        text = text[:-1]
    return text.center(columns - width(text) + len(text))


def paint(text: str, code: str, colour: bool) -> str:
    """Return the text in an ANSI colour, or unchanged without `colour`."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text


def known_level(level: object) -> str:
    """Return the level, or `unknown` for any other value."""
    return level if isinstance(level, str) and level in LEVEL_DISPLAY else "unknown"


def level_text(level: object, colour: bool) -> str:
    """Return a level as the plan writes it, such as `✅ OK`."""
    emoji, word, code = LEVEL_DISPLAY[known_level(level)]
    return paint(f"{emoji} {word}", code, colour)


def known_status(status: object) -> str:
    """Return the status, or `unknown` for any other value."""
    return status if isinstance(status, str) and status in STATUSES else "unknown"


def mark(status: object, colour: bool) -> str:
    """Return the mark of a status, such as `✅`."""
    emoji, code = STATUSES[known_status(status)]
    return paint(emoji, code, colour)


def worst_status(statuses: list[str]) -> str:
    """Return the status of a whole from those of its parts; `skipped` if there are none."""
    for status in ("failed", "unknown", "skipped"):
        if status in map(known_status, statuses):
            return status
    return "passed" if statuses else "skipped"
