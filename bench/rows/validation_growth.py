"""What validation costs a table when there are ten times as many stores."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from ansible_collections.chefwell.resilience.plugins.module_utils.database import (
    catalogue,
    postgres,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    expectation,
    validation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation.expectation import (
    Expectation,
)
from testbed import Testbed

from . import validation_alone
from .validation_alone import DATABASE

TITLE = "validation of ten times the stores; wanted is a ratio of 0.77 at least (1.3 times a table)"
OURS = "all stores ten times over, validated once"
THEIRS = "the testbed's stores, validated ten times"
NOTE = (
    "A ratio of 1 means that a table costs as much among ten times as many. The stores that are"
    " added have the first one's structure and rows; what is wanted of them is what is there."
)
ROUNDS = 3
TIMES = 10
GROWN = "grown"


@dataclasses.dataclass(frozen=True)
class Things:
    small: validation_alone.Things
    grown: Expectation


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
def prepared(bed: Testbed) -> Iterator[Things]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with validation_alone.restored(backup, binaries) as small:
        stores = len(small.wanted.schema_names()) - 1
        with contextlib.closing(psycopg2.connect(**small.server.dsn("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {GROWN} TEMPLATE {DATABASE}")
        with contextlib.closing(psycopg2.connect(**small.server.dsn(GROWN))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                # In batches: each table takes a lock until its transaction ends.
                for first in range(0, stores * (TIMES - 1), 20):
                    last = min(first + 20, stores * (TIMES - 1)) - 1
                    cursor.execute(_GROW % (first, last))
                cursor.execute("ANALYZE")
            yield Things(small, _as_it_is(connection))


def _as_it_is(connection: object) -> Expectation:
    found = catalogue.Catalogue(connection)
    wanted = expectation.Expectation(
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
    wanted.columns = {
        (schema, table, column, kind, "not null" if not_null else "")
        for schema, table, column, kind, not_null, _default, _own in found.columns()
    }
    for schema, table in wanted.tables:
        count = found.rows(f'SELECT count(*) FROM "{schema}"."{table}"')
        wanted.rows[schema, table] = int(count[0][0])
    return wanted


def _validate(things: validation_alone.Things, database: str, wanted: Expectation) -> int:
    with contextlib.closing(psycopg2.connect(**things.server.dsn(database))) as connection:
        report = validation.validate(connection, wanted, validation.Settings())
    wrong = [check.evidence for check in report.checks if check.status == "failed"]
    if wrong:
        raise RuntimeError(wrong[0])
    return int(report.totals["schemas"])


def ours(things: Things) -> dict[str, int]:
    schemas = _validate(things.small, GROWN, things.grown)
    return {"stores": schemas - 1}


def theirs(things: Things) -> dict[str, int]:
    small = things.small
    schemas = [_validate(small, DATABASE, small.wanted) for _number in range(TIMES)]
    return {"stores": sum(schemas) - TIMES}
