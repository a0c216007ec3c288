# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions a restored database: is everything there that the backup's table of contents names?

Every schema and every table is asked about, with a few queries for all of them together.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from . import checks
from .catalogue import Catalogue
from .checks import Answer, Check
from .expectation import Expectation, Key

# Tables counted by one query.
BATCH = 100
# Seconds that one statement may take.
STATEMENT_LIMIT = 300


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to ask beyond what the backup itself demands.

    Attributes:
        tenant_query: SQL that returns the name of every store's schema; None asks nothing.
        tenant_prefix: of the schemas that are stores.
        foreign_keys: `not_valid` follows the rows of keys that PostgreSQL has not validated,
            `all` those of every key.
        queries: named SQL with the rows that it must return.
    """

    tenant_query: str | None = None
    tenant_prefix: str = "tenant_"
    foreign_keys: str = "not_valid"
    queries: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Report:
    """What the questions came to.

    Attributes:
        checks: one a question.
        schemas: each schema with its tables, rows and counts, for reports.
        totals: the same over all schemas.
        seconds: what it took in all.
    """

    checks: list[Check]
    schemas: list[dict[str, Any]]
    totals: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return {
            "checks": [check.to_dict() for check in self.checks],
            **checks.tally(self.checks),
            "schemas": self.schemas,
            "totals": self.totals,
            "seconds": round(self.seconds, 3),
        }


def dotted(key: Iterable[str]) -> str:
    """A key for people: `schema.table.name`."""
    return ".".join(key)


def validate(
    connection: Any,
    wanted: Expectation,
    settings: Settings | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Asks a database everything.

    Args:
        connection: psycopg2, to the restored database; it is set to autocommit and read-only.
        wanted: what must be there.
        settings: what to ask beyond that.
        progress: called with the title of each question before it is asked.

    Raises:
        ResilienceError: never for what the database answers; that is in the report.
    """
    started = time.monotonic()
    connection.set_session(readonly=True, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = %s", (STATEMENT_LIMIT * 1000,))
        cursor.execute("SET search_path = pg_catalog")
        cursor.execute("SET lock_timeout = '30s'")
    asker = _Asker(Catalogue(connection), wanted, settings or Settings())
    done = []
    for id, title, question in asker.questions():
        if progress:
            progress(title)
        done.append(checks.ask(id, title, question))
    schemas = asker.schemas()
    return Report(done, schemas, _totals(schemas), time.monotonic() - started)


class _Asker:
    """The questions, and what the database answered to those that others build on."""

    def __init__(self, catalogue: Catalogue, wanted: Expectation, settings: Settings) -> None:
        self.catalogue, self.wanted, self.settings = catalogue, wanted, settings

    def questions(self) -> list[tuple[str, str, Callable[[], Answer]]]:
        return [
            ("schemas", "Schemas", self.ask_schemas),
            ("tenants", "Stores and their schemas", self.ask_tenants),
            ("tables", "Tables", self.ask_tables),
            ("row_counts", "Rows of every table", self.ask_rows),
            ("primary_keys", "Primary keys", self.ask_primary_keys),
            ("foreign_keys", "Foreign keys", self.ask_foreign_keys),
            ("referential_integrity", "Referential integrity", self.ask_references),
            ("indexes", "Indexes", self.ask_indexes),
            ("unique_constraints", "Unique constraints", self.ask_unique),
            ("other_constraints", "Check and exclusion constraints", self.ask_constraints),
            ("sequences", "Sequences", self.ask_sequences),
            ("views", "Views", self.ask_views),
            ("materialized_views", "Materialized views", self.ask_materialized),
            ("routines", "Functions, types and extensions", self.ask_routines),
            ("table_rules", "Triggers, rules and policies", self.ask_table_rules),
            ("large_objects", "Large objects", self.ask_large_objects),
            ("encoding", "Encoding", self.ask_encoding),
            *(
                (
                    f"query_{query['name']}",
                    str(query.get("title") or query["name"]),
                    functools.partial(self.ask_query, query),
                )
                for query in self.settings.queries
            ),
        ]

    # What the database holds; each is read once.

    @functools.cached_property
    def found_schemas(self) -> set[Key]:
        return self.catalogue.schemas()

    @functools.cached_property
    def found_tables(self) -> set[Key]:
        return self.catalogue.relations("rpf")

    @functools.cached_property
    def found_indexes(self) -> dict[Key, bool]:
        return self.catalogue.indexes()

    @functools.cached_property
    def found_foreign_keys(self) -> list[tuple[Any, ...]]:
        return self.catalogue.foreign_keys()

    @functools.cached_property
    def found_unique(self) -> dict[Key, bool]:
        return self.catalogue.constraints("u")

    @functools.cached_property
    def row_counts(self) -> dict[Key, int]:
        from psycopg2 import sql  # noqa: PLC0415 - the engine imports without it

        tables = sorted(self.wanted.tables & self.catalogue.relations("r"))
        counts: dict[Key, int] = {}
        for start in range(0, len(tables), BATCH):
            batch = tables[start : start + BATCH]
            # ONLY: rows of a child table are the child's.
            query = sql.SQL(" UNION ALL ").join(
                sql.SQL("SELECT {}, count(*) FROM ONLY {}").format(
                    sql.Literal(number), sql.Identifier(*table)
                )
                for number, table in enumerate(batch)
            )
            for number, count in self.catalogue.rows(query):
                counts[batch[number]] = count
        return counts

    # The questions.

    def ask_schemas(self) -> Answer:
        wanted: set[Key] = {(name,) for name in self.wanted.schema_names()}
        extra = self.found_schemas - wanted - {("public",)}
        return _compared("schemas", wanted, self.found_schemas, extra)

    def ask_tenants(self) -> Answer:
        prefix = self.settings.tenant_prefix
        stores = {name for (name,) in self.found_schemas if name.startswith(prefix)}
        if not self.settings.tenant_query:
            return Answer("no query for the stores is configured (tenant_query)", skipped=True)
        listed = [str(row[0]) for row in self.catalogue.rows(self.settings.tenant_query)]
        findings = [f"{name} is listed but has no schema" for name in sorted(set(listed) - stores)]
        findings += [
            f"{name} has a schema but is not listed" for name in sorted(stores - {*listed})
        ]
        findings += [f"{name} is listed twice" for name, n in Counter(listed).items() if n > 1]
        if not listed:
            findings.append("no store is listed")
        return Answer(f"{len(listed)} stores listed, {len(stores)} schemas", findings)

    def ask_tables(self) -> Answer:
        extra = self.found_tables - self.wanted.tables
        return _compared("tables", self.wanted.tables, self.found_tables, extra)

    def ask_rows(self) -> Answer:
        counts, wanted = self.row_counts, self.wanted.rows
        known = {key: count for key, count in wanted.items() if count is not None}
        findings = [
            f"{dotted(key)} has {counts.get(key, 'no')} rows instead of {count}"
            for key, count in sorted(known.items())
            if counts.get(key) != count
        ]
        if not known and wanted:
            return Answer("the backup does not tell how many rows it holds", skipped=True)
        total = sum(counts.values())
        evidence = f"{total} rows in {len(known)} tables, against {self.wanted.row_source}"
        return Answer(evidence, findings)

    def ask_primary_keys(self) -> Answer:
        return _compared("primary keys", self.wanted.primary_keys, self.catalogue.constraints("p"))

    def ask_foreign_keys(self) -> Answer:
        found = {tuple(row[:3]): row[5] for row in self.found_foreign_keys}
        not_valid = [key for key in self.wanted.foreign_keys if found.get(key) is False]
        answer = _compared("foreign keys", self.wanted.foreign_keys, found)
        evidence = answer.evidence
        if not_valid:
            evidence += f" ({len(not_valid)} of them NOT VALID, as dumped)"
        return dataclasses.replace(answer, evidence=evidence)

    def ask_references(self) -> Answer:
        every = self.settings.foreign_keys == "all"
        followed = [row for row in self.found_foreign_keys if every or not row[5]]
        findings = [found for row in followed if (found := self._orphan(row))]
        proved = len(self.found_foreign_keys) - len(followed)
        evidence = f"{len(followed)} foreign keys followed row by row"
        if proved:
            evidence += f", {proved} validated by PostgreSQL itself while restoring"
        return Answer(evidence, findings)

    def _orphan(self, row: tuple[Any, ...]) -> str | None:
        from psycopg2 import sql  # noqa: PLC0415 - the engine imports without it

        schema, table, name, other_schema, other, _valid, columns, referenced = row
        query = sql.SQL(
            "SELECT {values} FROM {child} c WHERE {filled} AND NOT EXISTS"
            " (SELECT 1 FROM {parent} p WHERE {equal}) LIMIT 1"
        ).format(
            values=sql.SQL(", ").join(sql.Identifier("c", column) for column in columns),
            child=sql.Identifier(schema, table),
            parent=sql.Identifier(other_schema, other),
            filled=sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier("c", column)) for column in columns
            ),
            equal=sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("p", theirs), sql.Identifier("c", ours))
                for ours, theirs in zip(columns, referenced, strict=True)
            ),
        )
        orphans = self.catalogue.rows(query)
        if not orphans:
            return None
        key = ", ".join(
            f"{column}={value!r}" for column, value in zip(columns, orphans[0], strict=True)
        )
        return f"{schema}.{table} ({name}): {key} is not in {other_schema}.{other}"

    def ask_indexes(self) -> Answer:
        unusable = [
            f"{dotted(key)} is not valid"
            for key in sorted(self.wanted.indexes)
            if self.found_indexes.get(key) is False
        ]
        answer = _compared("indexes", self.wanted.indexes, self.found_indexes)
        return dataclasses.replace(answer, findings=[*answer.findings, *unusable])

    def ask_unique(self) -> Answer:
        return _compared("unique constraints", self.wanted.unique_constraints, self.found_unique)

    def ask_constraints(self) -> Answer:
        wanted = self.wanted.check_constraints | self.wanted.exclusions
        return _compared("constraints", wanted, self.catalogue.constraints("cx"))

    def ask_sequences(self) -> Answer:
        from psycopg2 import sql  # noqa: PLC0415 - the engine imports without it

        found = self.catalogue.relations("S")
        answer = _compared("sequences", self.wanted.sequences, found)
        fed = self.catalogue.sequences()
        behind = []
        for start in range(0, len(fed), BATCH):
            batch = fed[start : start + BATCH]
            query = sql.SQL(" UNION ALL ").join(
                sql.SQL("SELECT {}, (SELECT {}({})::numeric FROM {})").format(
                    sql.Literal(number),
                    sql.SQL("max" if row[6] > 0 else "min"),
                    sql.Identifier(row[4]),
                    sql.Identifier(row[2], row[3]),
                )
                for number, row in enumerate(batch)
            )
            for number, furthest in self.catalogue.rows(query):
                schema, name, _schema, table, column, last, step = batch[number]
                if furthest is None:
                    continue
                if last is None or (last < furthest if step > 0 else last > furthest):
                    behind.append(
                        f"{schema}.{name} is at {last}, {table}.{column} is at {furthest} already"
                    )
        evidence = f"{answer.evidence}, {len(fed)} of them compared with their columns"
        return Answer(evidence, [*answer.findings, *behind])

    def ask_views(self) -> Answer:
        from psycopg2 import Error, sql  # noqa: PLC0415 - the engine imports without it

        answer = _compared("views", self.wanted.views, self.catalogue.relations("v"))
        broken = []
        for key in sorted(self.wanted.views & self.catalogue.relations("v")):
            try:
                query = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(*key))
                self.catalogue.rows(query)
            except Error as error:
                broken.append(f"{dotted(key)} does not run: {' '.join(str(error).split())[:120]}")
        return dataclasses.replace(answer, findings=[*answer.findings, *broken])

    def ask_materialized(self) -> Answer:
        wanted = self.wanted.materialized_views
        answer = _compared("materialized views", wanted, self.catalogue.relations("m"))
        empty = self.catalogue.rows(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND NOT c.relispopulated"
        )
        findings = [f"{dotted(key)} is not populated" for key in sorted(empty) if key in wanted]
        return dataclasses.replace(answer, findings=[*answer.findings, *findings])

    def ask_routines(self) -> Answer:
        # A routine's name in the backup has its arguments; overloads are counted.
        wanted = Counter(
            (schema, name.partition("(")[0].strip('"')) for schema, name in self.wanted.functions
        )
        found = self.catalogue.functions()
        findings = [
            f"{dotted(key)} has {found.get(key, 0)} of {count} forms"
            for key, count in sorted(wanted.items())
            if found.get(key, 0) < count
        ]
        others = [
            _compared("types", self.wanted.types, self.catalogue.types()),
            _compared("extensions", self.wanted.extensions, self.catalogue.extensions()),
        ]
        evidence = f"{len(self.wanted.functions)} functions, " + ", ".join(
            answer.evidence for answer in others
        )
        return Answer(evidence, findings + [one for answer in others for one in answer.findings])

    def ask_table_rules(self) -> Answer:
        answers = [
            _compared(kind, getattr(self.wanted, kind), self.catalogue.on_tables(kind))
            for kind in ("triggers", "rules", "policies")
        ]
        evidence = ", ".join(answer.evidence for answer in answers)
        return Answer(evidence, [one for answer in answers for one in answer.findings])

    def ask_large_objects(self) -> Answer:
        wanted, found = self.wanted.large_objects, self.catalogue.large_objects()
        findings = [f"{found} instead of {wanted}"] if found != wanted else []
        return Answer(f"{found}/{wanted} large objects", findings)

    def ask_encoding(self) -> Answer:
        found = str(self.catalogue.rows("SHOW server_encoding")[0][0])
        wanted = self.wanted.encoding
        if wanted is None:
            return Answer(f"{found}; the backup does not name one", skipped=True)
        findings = [f"{found} instead of {wanted}"] if found.upper() != wanted.upper() else []
        return Answer(found, findings)

    def ask_query(self, query: Mapping[str, Any]) -> Answer:
        got = [list(row) for row in self.catalogue.rows(query["sql"])]
        if "rows" not in query:
            findings = [] if got else ["it returned no row"]
            return Answer(f"{len(got)} rows", findings)
        plain = [[str(value) for value in row] for row in got]
        expected = [[str(value) for value in row] for row in query["rows"]]
        findings = [f"{plain[:3]} instead of {expected[:3]}"] if plain != expected else []
        return Answer(f"{len(got)} rows as expected" if not findings else "it returned", findings)

    # For reports.

    def schemas(self) -> list[dict[str, Any]]:
        """Each schema, with its tables and counts; empty where the database did not answer."""
        try:
            return [self._schema(name) for name in self.wanted.schema_names()]
        except Exception:  # noqa: BLE001 - the check that failed has told why
            return []

    def _schema(self, schema: str) -> dict[str, Any]:
        tables = [self._table(key) for key in sorted(self.wanted.tables) if key[0] == schema]
        counts = {
            "foreign_keys": (
                self.wanted.foreign_keys,
                {tuple(row[:3]) for row in self.found_foreign_keys},
            ),
            "indexes": (self.wanted.indexes, {key for key, ok in self.found_indexes.items() if ok}),
            "unique_constraints": (self.wanted.unique_constraints, set(self.found_unique)),
        }
        summary: dict[str, Any] = {"name": schema, "tables": tables}
        for name, (wanted, found) in counts.items():
            own = {key for key in wanted if key[0] == schema}
            summary[name] = {"found": len(own & found), "expected": len(own)}
        good = (
            (schema,) in self.found_schemas
            and all(table["status"] != checks.FAILED for table in tables)
            and all(summary[name]["found"] == summary[name]["expected"] for name in counts)
        )
        return {**summary, "status": checks.PASSED if good else checks.FAILED}

    def _table(self, key: Key) -> dict[str, Any]:
        rows, expected = self.row_counts.get(key), self.wanted.rows.get(key)
        status = checks.PASSED
        if key not in self.found_tables or (expected is not None and rows != expected):
            status = checks.FAILED
        elif expected is None:
            status = checks.SKIPPED
        return {"name": key[1], "rows": rows, "expected": expected, "status": status}


def _compared(
    what: str, wanted: set[Key], found: Iterable[Key], extra: Iterable[Key] = ()
) -> Answer:
    there = set(found)
    findings = [f"{dotted(key)} is missing" for key in sorted(wanted - there)]
    findings += [f"{dotted(key)} is not in the backup" for key in sorted(extra)]
    return Answer(f"{len(wanted & there)}/{len(wanted)} {what}", findings)


def _totals(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    totals: dict[str, Any] = {
        "schemas": len(schemas),
        "tables": sum(len(schema["tables"]) for schema in schemas),
        "rows": sum(table["rows"] or 0 for schema in schemas for table in schema["tables"]),
    }
    for name in ("foreign_keys", "indexes", "unique_constraints"):
        totals[name] = {
            side: sum(schema[name][side] for schema in schemas) for side in ("found", "expected")
        }
    return totals
