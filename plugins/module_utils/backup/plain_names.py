# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the objects of a plain dump, from the statements that make them.

The comment above a statement names its object as well, but has a blank for a newline in a name, and
a minus both for no schema and for one of that name.
"""

from __future__ import annotations

import dataclasses
import re

from .sql_words import NAME

_QUALIFIED = rb"(?P<first>" + NAME + rb")(?:\.(?P<second>" + NAME + rb"))?(?![\w.\"])"
_IN_SCHEMA = rb"(?:(?P<schema>" + NAME + rb")\.)?" + NAME
# pg_dump writes none of these; whoever edits a dump so that it loads twice does.
_NEW, _THERE, _REPLACED = rb"(?:IF NOT EXISTS )?", rb"(?:IF EXISTS )?", rb"CREATE (?:OR REPLACE )?"
_ON_TABLE = rb"ALTER (?:FOREIGN )?TABLE " + _THERE + rb"(?:ONLY )?" + _QUALIFIED + rb"\s+"
_OWN = rb"(?P<own>" + NAME + rb")"
_UP_TO_ON = rb' (?:[^"]|"(?:[^"]|"")*")*? ON '
_TEXT = re.compile(_QUALIFIED)
# How the first statement of an entry begins, by the entry's kind. It names the object by schema and
# name, or by one name if that is all, and by its own name if it belongs to that.
_BEGINS = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "SCHEMA": rb"CREATE SCHEMA " + _NEW + rb"(?!AUTHORIZATION )(?P<second>" + NAME + rb")",
        "TABLE": rb"CREATE (?:UNLOGGED )?TABLE " + _NEW + _QUALIFIED,
        "FOREIGN TABLE": rb"CREATE FOREIGN TABLE " + _NEW + _QUALIFIED,
        "VIEW": _REPLACED + rb"(?:RECURSIVE )?VIEW " + _QUALIFIED,
        "MATERIALIZED VIEW": rb"CREATE MATERIALIZED VIEW " + _NEW + _QUALIFIED,
        "MATERIALIZED VIEW DATA": rb"REFRESH MATERIALIZED VIEW " + _QUALIFIED,
        "SEQUENCE": rb"(?:CREATE (?:UNLOGGED )?SEQUENCE (?:IF NOT EXISTS )?|"
        rb"ALTER (?:FOREIGN )?TABLE "
        rb'(?:[^"]|"(?:[^"]|"")*")*?\sSEQUENCE NAME )(?:' + _QUALIFIED + rb")?",
        "TYPE": rb"CREATE TYPE " + _QUALIFIED,
        "SHELL TYPE": rb"CREATE TYPE " + _QUALIFIED,
        "DOMAIN": rb"CREATE DOMAIN " + _QUALIFIED,
        "INDEX": rb"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?"
        + _NEW
        + rb"(?P<index>"
        + NAME
        + rb") ON (?:ONLY )?"
        + _IN_SCHEMA,
        "CONSTRAINT": _ON_TABLE + rb"ADD CONSTRAINT " + _OWN,
        "FK CONSTRAINT": _ON_TABLE + rb"ADD CONSTRAINT " + _OWN,
        "CHECK CONSTRAINT": rb"ALTER (?:TABLE|DOMAIN|FOREIGN TABLE) "
        rb"(?:(?:ONLY )?" + _QUALIFIED + rb"\s+ADD CONSTRAINT " + _OWN + rb")?",
        "DEFAULT": _ON_TABLE + rb"ALTER COLUMN " + _OWN + rb" SET ",
        "TRIGGER": _REPLACED
        + rb"(?:CONSTRAINT )?TRIGGER (?:"
        + _OWN
        + _UP_TO_ON
        + _QUALIFIED
        + rb")?",
        "RULE": _REPLACED
        + rb"(?:RULE (?:"
        + _OWN
        + rb" AS\s+ON \w+ TO "
        + _QUALIFIED
        + rb")?|VIEW )",
        "POLICY": rb"CREATE POLICY (?:" + _OWN + rb" ON " + _QUALIFIED + rb")?",
        "ROW SECURITY": rb"ALTER TABLE (?:" + _QUALIFIED + rb")?",
        "FUNCTION": _REPLACED + rb"FUNCTION " + _IN_SCHEMA,
        "PROCEDURE": _REPLACED + rb"PROCEDURE " + _IN_SCHEMA,
        "AGGREGATE": _REPLACED + rb"AGGREGATE " + _IN_SCHEMA,
        "EXTENSION": rb"CREATE EXTENSION ",
        "SEQUENCE SET": rb"SELECT pg_catalog\.setval\('(?P<text>(?:[^']|'')*)'",
        "DATABASE": rb"CREATE DATABASE ",
        "TABLE DATA": rb"(?:COPY|INSERT INTO) " + _QUALIFIED,
        "BLOB": rb"SELECT pg_catalog\.lo_create\(",
        "BLOB METADATA": rb"SELECT pg_catalog\.lo_create\(",
    }.items()
}


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of an object, as they are written.

    Attributes:
        schema: None where the statement does not name it.
        name: of the table and the object that belongs to it, or of the object; empty where the
            statement does not name it.
    """

    schema: bytes | None = None
    name: tuple[bytes, ...] = ()


def read(kind: str, statement: bytes) -> Names | None:
    """Return the names in the first statement of an entry; None if it makes no such object.

    Args:
        kind: of the entry.
        statement: its text.
    """
    begins = _BEGINS.get(kind)
    if begins is None:
        return Names()
    found = begins.match(statement)
    if found is None:
        return None
    named = {group: name for group, name in found.groupdict().items() if name is not None}
    if "text" in named:
        # The name of a sequence within a literal.
        inner = _TEXT.match(named["text"].replace(b"''", b"'").replace(b"\\\\", b"\\"))
        named = {group: name for group, name in inner.groupdict().items() if name} if inner else {}
    schema = named.get("schema")
    if "second" in named:
        schema = named.get("first")
    last = named.get("index") or named.get("second") or named.get("first")
    own = named.get("own")
    return Names(schema, tuple(one for one in (last, own) if one is not None))
