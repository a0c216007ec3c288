# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make text from outside safe to show: no terminal obeys it, and it stays on one line."""

from __future__ import annotations

from typing import Any, TypeVar

Data = TypeVar("Data")


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte of a file name that is no UTF-8: Python carries it as half a surrogate pair.
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def clean(text: str) -> str:
    """Return a text on one line that no terminal obeys.

    Control characters (line ends and terminal escapes among them), invisible ones, those that turn
    the direction of writing, and bytes that are no text are written out, such as `\\x1b`.
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def one_line(text: object, limit: int | None = None) -> str:
    """Return a text of another program or host, or an exception's, on one line and clean.

    Args:
        text: is turned into a string.
        limit: characters to keep at most.
    """
    return clean(" ".join(str(text).split()))[:limit]


def error_line(error: BaseException, limit: int = 300) -> str:
    """Return an unforeseen exception on one line, its class first."""
    return f"{type(error).__name__}: {one_line(error, limit)}"


def clean_all(data: Data) -> Data:
    """Return a copy of JSON-like data in which every string, keys included, is clean."""

    def copy(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, dict):
            return {copy(key): copy(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [copy(item) for item in value]
        return value

    cleaned: Data = copy(data)
    return cleaned
