# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL identifiers as pg_dump writes them."""

from __future__ import annotations

import re
import sys

NAME = r'"(?:[^"]|"")+"|[^\s,;()".]+'
_NAME = re.compile(NAME)


def unquoted(name: str) -> str:
    """Return an identifier as the catalogues hold it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def copy_columns(statement: str) -> list[str]:
    """Return the columns that a COPY statement names; none where it names none."""
    at = len("COPY ")
    columns: list[str] = []
    listed = False
    while at < len(statement):
        if found := _NAME.match(statement, at):
            if listed:
                # Tenants have the same columns.
                columns.append(sys.intern(unquoted(found[0])))
            at = found.end()
            continue
        character = statement[at]
        if character == ")":
            return columns
        listed = listed or character == "("
        at += 1
    return []


def copy_table(statement: str) -> tuple[str, str]:
    """Return schema and table of a COPY statement of pg_dump.

    With --load-via-partition-root, and by itself where rows may belong elsewhere after a restore,
    pg_dump names the root of a partition instead.
    """
    at, names = len("COPY "), []
    while found := _NAME.match(statement, at):
        names.append(unquoted(found[0]))
        at = found.end()
        if statement[at : at + 1] != ".":
            break
        at += 1
    return (names[0], names[1]) if len(names) > 1 else ("public", "".join(names))
