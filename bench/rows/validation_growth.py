"""Measure the cost of validation per table with ten times as many tenants."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import expectation
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import (
    catalogue,
    postgres,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
    database_validation,
)
from testbed import Testbed

from . import validation_alone
from .validation_alone import DATABASE

TITLE = "validation of ten times the tenants; the aim is a ratio of 0.77 (1.3 times per table)"
COLLECTION = "ten times the testbed's tenants, validated once"
REFERENCE = "as many tenants as the testbed has, validated ten times"
NOTE = (
    "A ratio of 1 means that a table costs as much among ten times as many. All tenants have the"
    " structure and rows of the first one, so that only their number differs, and exactly what is"
    " there is expected."
)
ROUNDS = 3
TIMES = 10
FEW, MANY = "few", "many"
PATTERN = "tenant_chefwell"


@dataclasses.dataclass(frozen=True)
class Fixture:
    server: Server
    expected: dict[str, Expectation]


_GROW = """
DO $grow$
DECLARE part record; number integer;
BEGIN
  FOR number IN %s .. %s LOOP
    EXECUTE format('CREATE SCHEMA tenant_more_%%s', number);
    FOR part IN SELECT c.relname AS name FROM pg_class c
      WHERE c.relnamespace = 'tenant_chefwell'::regnamespace AND c.relkind = 'r' LOOP
      EXECUTE format('CREATE TABLE tenant_more_%%s.%%I (LIKE tenant_chefwell.%%I INCLUDING ALL)',
        number, part.name, part.name);
      EXECUTE format('INSERT INTO tenant_more_%%s.%%I SELECT * FROM tenant_chefwell.%%I',
        number, part.name, part.name);
      EXECUTE format('SELECT setval(pg_get_serial_sequence(%%L, ''id''), max(id)) FROM'
        ' tenant_more_%%s.%%I HAVING max(id) IS NOT NULL',
        format('tenant_more_%%s.%%I', number, part.name), number, part.name);
    END LOOP;
    FOR part IN SELECT t.relname AS name, o.conname AS key, replace(pg_get_constraintdef(o.oid),
      'tenant_chefwell.', format('tenant_more_%%s.', number)) AS what
      FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid
      WHERE t.relnamespace = 'tenant_chefwell'::regnamespace AND o.contype = 'f' LOOP
      EXECUTE format('ALTER TABLE tenant_more_%%s.%%I ADD CONSTRAINT %%I %%s',
        number, part.name, part.key, part.what);
    END LOOP;
  END LOOP;
END $grow$"""


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    tenants = int(bed.record["tenants"])
    with validation_alone.restored(backup, binaries, PATTERN) as first:
        server = first.server
        expected = {}
        begun = 1  # the first tenant itself
        for name, count, template in ((FEW, tenants, DATABASE), (MANY, tenants * TIMES, FEW)):
            with _connected(server, "postgres") as cursor:
                cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            with _connected(server, name) as cursor:
                # In batches: each table takes a lock until its transaction ends.
                for number in range(begun, count, 20):
                    cursor.execute(_GROW % (number, min(number + 20, count) - 1))
                cursor.execute("ANALYZE")
            with contextlib.closing(psycopg2.connect(**server.dsn(name))) as connection:
                expected[name] = _as_it_is(connection)
            begun = count
        yield Fixture(server, expected)


@contextlib.contextmanager
def _connected(server: Server, database: str) -> Iterator[Any]:
    with contextlib.closing(psycopg2.connect(**server.dsn(database))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def _as_it_is(connection: object) -> Expectation:
    found = catalogue.Catalogue(connection)
    expected = expectation.Expectation(
        schemas=found.schemas() - {("public",)},
        tables=found.relations("r"),
        sequences=found.relations("S"),
        indexes=set(found.indexes()),
        primary_keys=set(found.constraints("p")),
        unique_constraints=set(found.constraints("u")),
        foreign_keys={tuple(row[:3]) for row in found.foreign_keys()},
        check_constraints=set(found.constraints("c")),
        encoding="UTF8",
    )
    expected.columns = {
        key: tuple(name for name, is_generated in columns if not is_generated)
        for key, columns in found.columns().items()
    }
    expected.rows |= check_context.CheckContext(
        found, expected, check_context.ValidationSettings()
    ).rows
    return expected


def _validate(fixture: Fixture, database: str) -> int:
    with contextlib.closing(psycopg2.connect(**fixture.server.dsn(database))) as connection:
        report = database_validation.validate(
            connection, fixture.expected[database], check_context.ValidationSettings()
        )
    wrong = [check.evidence for check in report.checks if check.status == "failed"]
    if wrong:
        raise RuntimeError(wrong[0])
    return int(report.totals["schemas"]) - 1


def collection(fixture: Fixture) -> dict[str, int]:
    return {"tenants": _validate(fixture, MANY)}


def reference(fixture: Fixture) -> dict[str, int]:
    return {"tenants": sum(_validate(fixture, FEW) for _number in range(TIMES))}
