# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restored database must hold, taken from the backup's own table of contents.

Only names are taken; PostgreSQL itself prints definitions, see `database/structure.py`. Nothing is
configured: a table that a new release adds is expected from the first backup that has it.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from ..common import json_stream
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import error_line
from ..database import alike_objects
from ..database.catalogue import ObjectName
from . import archive_whole, database_locale
from .archive_entry import Entry
from .identifiers import copy_columns, unquoted

BACKUP, MANIFEST = "backup", "manifest"
# The source of the rows that a table must have, for people.
SOURCES = {
    BACKUP: _("the rows in the backup itself"),
    MANIFEST: _("the manifest, taken in the dump's own snapshot"),
}

# The members that are structures, as `Structure.to_dict` gives them.
STRUCTURES = ("structure", "access")

# Kinds of a table of contents whose object is known by schema and name.
_NAMED = {
    "TABLE": "tables",
    "FOREIGN TABLE": "tables",
    "VIEW": "views",
    "MATERIALIZED VIEW": "materialized_views",
    "SEQUENCE": "sequences",
    "TYPE": "types",
    "DOMAIN": "types",
    "SHELL TYPE": "types",
}
# Kinds whose name is the table's, a space and the object's own.
_ON_TABLES = {
    "FK CONSTRAINT": "foreign_keys",
    "TRIGGER": "triggers",
    "RULE": "rules",
    "POLICY": "policies",
    "CHECK CONSTRAINT": "check_constraints",
}
# PostgreSQL's name for the rule that makes a view.
VIEW_RULE = "_RETURN"
_SETVAL = re.compile(r"setval\('(?:[^']|'')*', (-?\d+), (true|false)\)")
_NAME = r'"(?:[^"]|"")+"|[^\s."(]+'
_ROUTINE = re.compile(rf"CREATE (?:FUNCTION|PROCEDURE|AGGREGATE) (?:(?:{_NAME})\.)?({_NAME})\(")
_CONSTRAINT = re.compile(
    rf"ADD CONSTRAINT (?:{_NAME}) (PRIMARY KEY|UNIQUE|EXCLUDE|NOT NULL)\b", re.DOTALL
)


@dataclasses.dataclass
class Expectation:
    """What must exist. Keys are (schema, name), or (schema, table, name) for what is on a table.

    Attributes:
        populated_views: materialized views that had rows.
        functions: (schema, name, name with the types of its arguments).
        columns: by (schema, table), those that the rows in the backup have values for.
        sequence_values: with two more members, the value, and `true` if it was given out already.
        rows: rows by table; None where the backup does not hold them.
        row_source: where `rows` comes from, one of `SOURCES`.
        digests: of tables' content, with one more member, the digest; only a manifest has them.
        digest_version: of the PostgreSQL that made them.
        locale: how the database sorted text, as `database_locale.of` has it; from a manifest also
            `version`.
        structure: the definitions of all objects, as `Structure.to_dict` gives them; only a
            manifest has them, as well as the next two.
        access: owners and privileges in the same form, where they were restored.
        sequence_positions: with two more members, the last value when the snapshot was taken,
            empty before the first, and the step.
        large_object_digests: by identifier.
        without_rows: tables whose rows the dump leaves out; of a whole dump each has an entry for
            them, also where there are none.
        unlogged: those whose rows a crash loses, and the dump leaves out (of a standby server
            pg_dump cannot read them).
        others: kinds that no check covers, and how many there are of each.
    """

    schemas: set[ObjectName] = dataclasses.field(default_factory=set)
    tables: set[ObjectName] = dataclasses.field(default_factory=set)
    columns: dict[ObjectName, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    row_security: set[ObjectName] = dataclasses.field(default_factory=set)
    disabled_triggers: set[ObjectName] = dataclasses.field(default_factory=set)
    sequence_values: set[ObjectName] = dataclasses.field(default_factory=set)
    views: set[ObjectName] = dataclasses.field(default_factory=set)
    materialized_views: set[ObjectName] = dataclasses.field(default_factory=set)
    populated_views: set[ObjectName] = dataclasses.field(default_factory=set)
    sequences: set[ObjectName] = dataclasses.field(default_factory=set)
    types: set[ObjectName] = dataclasses.field(default_factory=set)
    functions: set[ObjectName] = dataclasses.field(default_factory=set)
    foreign_keys: set[ObjectName] = dataclasses.field(default_factory=set)
    primary_keys: set[ObjectName] = dataclasses.field(default_factory=set)
    unique_constraints: set[ObjectName] = dataclasses.field(default_factory=set)
    exclusions: set[ObjectName] = dataclasses.field(default_factory=set)
    check_constraints: set[ObjectName] = dataclasses.field(default_factory=set)
    indexes: set[ObjectName] = dataclasses.field(default_factory=set)
    triggers: set[ObjectName] = dataclasses.field(default_factory=set)
    rules: set[ObjectName] = dataclasses.field(default_factory=set)
    policies: set[ObjectName] = dataclasses.field(default_factory=set)
    extensions: set[ObjectName] = dataclasses.field(default_factory=set)
    large_objects: int = 0
    encoding: str | None = None
    rows: dict[ObjectName, int | None] = dataclasses.field(default_factory=dict)
    row_source: str = ""
    digests: set[ObjectName] = dataclasses.field(default_factory=set)
    digest_version: str = ""
    locale: dict[str, str] = dataclasses.field(default_factory=dict)
    structure: dict[str, Any] = dataclasses.field(default_factory=dict)
    sequence_positions: set[ObjectName] = dataclasses.field(default_factory=set)
    large_object_digests: dict[str, str] = dataclasses.field(default_factory=dict)
    access: dict[str, Any] = dataclasses.field(default_factory=dict)
    without_rows: set[ObjectName] = dataclasses.field(default_factory=set)
    unlogged: set[ObjectName] = dataclasses.field(default_factory=set)
    others: dict[str, int] = dataclasses.field(default_factory=dict)

    def to_dict(self, *, streamed: bool = False) -> dict[str, Any]:
        """Return plain values, for JSON; `from_dict` takes them back.

        Args:
            streamed: for `json_stream`, so that what is large is written part by part.
        """
        plain: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            rows: list[tuple[Any, ...]] | None = None
            if isinstance(value, set):
                rows = sorted(value)
            elif field.name == "rows":
                rows = [(*key, count) for key, count in sorted(value.items())]
            elif field.name == "columns":
                rows = [(*key, *names) for key, names in sorted(value.items())]
            if rows is not None:
                value = _by_schema(rows) if streamed else list(map(list, rows))
            plain[field.name] = value
        return alike_objects.streamed(plain, *STRUCTURES) if streamed else plain

    def schema_names(self) -> list[str]:
        """Return every schema that holds something or is created, sorted; `public` first."""
        names = {key[0] for key in self.schemas | self.tables | self.views}
        return sorted(names, key=lambda name: (name != "public", name))


def load(file: IO[str]) -> Expectation:
    """Return what was written to a file as JSON.

    Raises:
        ResilienceError: it is something else.
    """
    shapes, known = alike_objects.ShapeReader(*STRUCTURES), Expectation()
    keyed = ["rows", "columns"]
    keyed += [name for name, value in vars(known).items() if isinstance(value, set)]

    def take(name: str, schema: str, rows: Iterable[Sequence[Any]]) -> None:
        held, schema = getattr(known, name), sys.intern(schema)
        for row in rows:
            if name == "rows":
                held[schema, sys.intern(row[0])] = row[1]
            elif name == "columns":
                held[schema, sys.intern(row[0])] = tuple(map(sys.intern, row[1:]))
            else:
                held.add((schema, *map(sys.intern, row)))

    large: dict[tuple[str, ...], json_stream.Take] = {
        (name,): functools.partial(take, name) for name in keyed
    }
    try:
        values = json_stream.load(file, {**shapes.large, **large})
        shapes.put_into(values)
        for name in keyed:
            # An earlier version wrote lists.
            if values[name] == {}:
                values[name] = getattr(known, name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unknown(error) from error
    return from_dict(values)


def _by_schema(rows: Iterable[tuple[Any, ...]]) -> Mapping[str, list[tuple[Any, ...]]]:
    """Return rows by their first member, without it; `json_stream` writes some at a time."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row[1:])
    return MappingProxyType(found)


def from_dict(values: Mapping[str, Any]) -> Expectation:
    """Return what `Expectation.to_dict` gave.

    Raises:
        ResilienceError: the values are something else.
    """
    try:
        known = {}
        for field in dataclasses.fields(Expectation):
            value = values[field.name]
            if isinstance(value, dict):
                pass
            elif field.name == "rows":
                value = {(schema, table): count for schema, table, count in value}
            elif field.name == "columns":
                value = _columns(value)
            elif isinstance(value, list):
                value = {tuple(key) for key in value}
            known[field.name] = value
        return Expectation(**known)
    except (KeyError, TypeError, ValueError) as error:
        raise _unknown(error) from error


def _unknown(error: Exception) -> ResilienceError:
    return ResilienceError(
        _("what the restored backup must hold is not known: %(why)s", why=error_line(error)),
        option="work_dir",
        remedy=_("restore again with test-restore-staging"),
    )


def _columns(rows: Iterable[Sequence[str]]) -> dict[ObjectName, tuple[str, ...]]:
    """Return columns by table; an earlier version of this collection wrote a row for each."""
    known: dict[ObjectName, tuple[str, ...]] = {}
    for schema, table, *names in rows:
        key = (schema, table)
        known[key] = (*known.get(key, ()), *map(sys.intern, names))
    return known


def from_entries(
    entries: Iterable[Entry], rows: Mapping[tuple[str, str], int | None] | None = None
) -> Expectation:
    """Return what the entries of a table of contents demand.

    Args:
        entries: of `archive_toc.Toc`.
        rows: rows by (schema, table) as the backup itself holds them.
    """
    if not isinstance(entries, Sequence):
        entries = list(entries)
    expected = Expectation()
    tables: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.kind in _NAMED or entry.kind == "MATERIALIZED VIEW":
            tables[entry.schema].append(entry.name)
    for names in tables.values():
        names.sort(key=len, reverse=True)
    for entry in entries:
        _add(expected, entry, tables[entry.schema])
    # Tenants have the same columns.
    alike: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key, names_in_order in expected.columns.items():
        expected.columns[key] = alike.setdefault(names_in_order, names_in_order)
    for key in expected.tables:
        expected.rows[key] = None
    for (schema, table), count in (rows or {}).items():
        if (schema, table) in expected.tables:
            expected.rows[schema, table] = count
    with_rows = {_in_comment(entry) for entry in entries if entry.kind == "TABLE DATA"}
    for entry in entries:
        # The rows of a partitioned table are its partitions'.
        partitioned = entry.kind == "TABLE" and "\nPARTITION BY " in entry.definition
        if entry.kind == "TABLE" and not partitioned and _in_comment(entry) not in with_rows:
            unlogged = entry.definition.startswith("CREATE UNLOGGED TABLE ")
            left_out = expected.unlogged if unlogged else expected.without_rows
            left_out.add((entry.schema, entry.name))
        if rows and partitioned and expected.rows[entry.schema, entry.name] is None:
            expected.rows[entry.schema, entry.name] = 0
    expected.locale = database_locale.of(entries)
    # An archive's own encoding may be another one (`pg_dump --encoding`).
    expected.encoding = database_locale.options(entries).get("ENCODING", expected.encoding)
    if rows:
        expected.row_source = BACKUP
    return expected


def _in_comment(entry: Entry) -> ObjectName:
    """Return schema and name of a table as the comments of a plain dump have them.

    These have a blank for a newline, and nothing where a name is a single minus; of an empty table
    a dump of INSERT commands has no more than such a comment.
    """
    return tuple(
        "" if name == "-" else re.sub(r"[\r\n]", " ", name) for name in (entry.schema, entry.name)
    )


def _add(expected: Expectation, entry: Entry, tables: list[str]) -> None:
    kind, schema, name = entry.kind, entry.schema, entry.name
    if kind in _NAMED:
        getattr(expected, _NAMED[kind]).add((schema, name))
    elif kind == "TABLE DATA":
        if columns := copy_columns(entry.copy_statement or ""):
            expected.columns[schema, name] = tuple(columns)
    elif kind == "SCHEMA":
        expected.schemas.add((name,))
    elif kind in ("FUNCTION", "PROCEDURE", "AGGREGATE"):
        # The entry's name is not quoted, so the definition is more exact.
        found = _ROUTINE.match(entry.definition)
        own = unquoted(found[1]) if found else name.partition("(")[0]
        expected.functions.add((schema, own, name))
    elif kind == "INDEX":
        expected.indexes.add((schema, name))
    elif kind == "CONSTRAINT":
        table, own = _split(name, tables)
        found = _CONSTRAINT.search(entry.definition)
        if found and found[1] == "NOT NULL":
            # PostgreSQL 18 has an entry for one that is NOT VALID.
            expected.check_constraints.add((schema, table, own))
            return
        group = {"PRIMARY KEY": "primary_keys", "UNIQUE": "unique_constraints"}.get(
            found[1] if found else "", "exclusions"
        )
        getattr(expected, group).add((schema, table, own))
        # Each of these constraints lives in an index of its own name.
        expected.indexes.add((schema, own))
    elif kind in _ON_TABLES:
        key = (schema, *_split(name, tables))
        if kind == "RULE" and key[-1] == VIEW_RULE:
            # The second half of a view that could not be made at once (dumpRule in pg_dump.c).
            return
        getattr(expected, _ON_TABLES[kind]).add(key)
        if kind == "TRIGGER" and " DISABLE TRIGGER " in entry.definition:
            expected.disabled_triggers.add(key)
    elif kind == "ROW SECURITY":
        expected.row_security.add((schema, name))
    elif kind == "SEQUENCE SET":
        if found := _SETVAL.search(entry.definition):
            expected.sequence_values.add((schema, name, found[1], found[2]))
    elif kind == "MATERIALIZED VIEW DATA":
        # pg_dump refreshes the views that had rows (refreshMatViewData in pg_dump.c).
        expected.populated_views.add((schema, name))
    elif kind == "EXTENSION":
        expected.extensions.add((name,))
    elif kind == "ENCODING":
        found = re.search(r"'([^']+)'", entry.definition)
        expected.encoding = found[1] if found else None
    elif kind in ("BLOB", "BLOB METADATA"):
        expected.large_objects += archive_whole.large_objects([entry])
    else:
        expected.others[kind] = expected.others.get(kind, 0) + 1


def _split(name: str, tables: list[str]) -> tuple[str, str]:
    """Return table and own name; `tables` has the longest first: `a b c` is of `a b` before `a`."""
    for table in tables:
        if name.startswith(table + " "):
            # Tenants have the same names.
            return table, sys.intern(name[len(table) + 1 :])
    table, _space, own = name.partition(" ")
    return sys.intern(table), sys.intern(own)
