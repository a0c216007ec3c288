# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the CREATE TABLE statements that pg_dump writes: columns, types and check constraints.

pg_dump writes a column or constraint a line, types as `format_type` gives them with an empty search
path (dumpTableSchema in pg_dump.c). No other SQL is read here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
# What ends a column's type, and may stand in any order behind it.
_AFTER_TYPE = re.compile(
    r" (?:COLLATE|DEFAULT|NOT NULL|GENERATED|CONSTRAINT|OPTIONS|STORAGE|COMPRESSION)\b"
)
_CONSTRAINT = re.compile(r"CONSTRAINT (\S+) (CHECK|NOT NULL)\b")
# Of a typed table (`OF type`) the columns come from the type.
_HEAD = re.compile(r"CREATE (?:UNLOGGED |FOREIGN )*TABLE [^(]*$")


@dataclasses.dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: of it.
        type: as `format_type` writes it, its schema included unless that is pg_catalog.
        not_null: whether it must be filled.
        has_default: whether it has a default, or is generated from other columns.
    """

    name: str
    type: str
    not_null: bool
    has_default: bool


def read(definition: str) -> tuple[list[Column], list[str]]:
    """The columns of a table's own, and the names of its check constraints.

    Args:
        definition: of a TABLE entry of a table of contents.
    """
    masked = _masked(definition)
    start = masked.find("(")
    if start < 0 or not _HEAD.match(masked[:start]) or " OF " in masked[:start]:
        return [], []
    columns: list[Column] = []
    checks: list[str] = []
    for first, last in _items(masked, start):
        text, shape = definition[first:last].strip(), masked[first:last].strip()
        if not text:
            continue
        if constraint := _CONSTRAINT.match(shape):
            name = text[constraint.start(1) : constraint.end(1)]
            if constraint[2] == "CHECK":
                checks.append(unquoted(name))
            continue
        columns.append(_column(text, shape))
    return columns, checks


def _column(text: str, shape: str) -> Column:
    name_end = shape.find(" ")
    end = _AFTER_TYPE.search(shape, name_end)
    rest = shape[end.start() :] if end else ""
    return Column(
        unquoted(text[:name_end]),
        text[name_end : end.start() if end else len(text)].strip(),
        " NOT NULL" in rest,
        bool(re.search(r" (?:DEFAULT|GENERATED ALWAYS AS x*\(?)", rest)),
    )


def unquoted(name: str) -> str:
    """An identifier as the catalogues hold it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _masked(text: str) -> str:
    """The text with everything quoted replaced by as many `x`, so that its shape can be read."""
    return _QUOTED.sub(lambda found: "x" * len(found[0]), text)


def _items(masked: str, start: int) -> Iterator[tuple[int, int]]:
    """From where to where each item of the list that opens at `start` goes."""
    depth, first = 0, start + 1
    for at in range(start, len(masked)):
        character = masked[at]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
            if depth == 0:
                yield first, at
                return
        elif character == "," and depth == 1:
            yield first, at
            first = at + 1
