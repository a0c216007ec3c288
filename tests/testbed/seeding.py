"""Fills the production database, in steps, so that backups of earlier days hold fewer rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extras import execute_values

from . import words
from .sample import TABLES, Store

HERE = Path(__file__).resolve().parent
# What a store begins with; the other tables grow from step to step.
FROM_THE_FIRST = ("categories", "products", "customers")


class Seeding:
    """Rows of all stores, inserted over one connection.

    Every reference is right by construction, so foreign keys are not looked up while rows go in
    (`session_replication_role`): they are declared, and hold.

    Args:
        connection: to the production database, as its superuser.
        stores: what to make.
    """

    def __init__(self, connection: psycopg2.extensions.connection, stores: Sequence[Store]) -> None:
        self.connection = connection
        self.stores = stores
        self.done = Fraction(0)
        self._rows_sql = (HERE / "rows_tenant.sql").read_text(encoding="utf-8")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute((HERE / "draw_functions.sql").read_text(encoding="utf-8"))

    def make_tables(self) -> None:
        """Makes the shared tables with their rows, and every store's schema with empty tables."""
        tenant = (HERE / "schema_tenant.sql").read_text(encoding="utf-8")
        with self.connection.cursor() as cursor:
            cursor.execute((HERE / "schema_public.sql").read_text(encoding="utf-8"))
            self._share(cursor)
            for store in self.stores:
                # One message to the server is one transaction: a store is complete or not there,
                # and its locks are released.
                make = sql.SQL("CREATE SCHEMA {name}; SET search_path = {name}; ").format(
                    name=sql.Identifier(store.schema)
                )
                cursor.execute(make.as_string(cursor) + tenant)

    def grow(self, share: Fraction) -> None:
        """Insert rows until every growing table has this share of all its rows.

        Args:
            share: from 0 to 1, more than at the last call; exact, since a sale names a tab of the
                same share at the latest.
        """
        with self.connection.cursor() as cursor:
            for store in self.stores:
                enter = sql.SQL("SET search_path = {}; ").format(sql.Identifier(store.schema))
                values = _values(store, self.done, share)
                cursor.execute(enter.as_string(cursor) + self._rows_sql, values)
        self.done = share

    def finish(self) -> None:
        """Renews the planner's statistics."""
        with self.connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def _share(self, cursor: psycopg2.extensions.cursor) -> None:
        execute_values(
            cursor,
            "INSERT INTO companies (id, name, slug, schema_name, cnpj, city, created_at) VALUES %s",
            [(s.id, s.name, s.slug, s.schema, s.cnpj, s.city) for s in self.stores],
            "(%s, %s, %s, %s, %s, %s, timestamptz '2024-01-01 10:00+00')",
        )
        execute_values(
            cursor,
            "INSERT INTO users (id, company_id, email, name, role, password_hash, created_at)"
            " VALUES %s",
            [
                (u.id, u.company_id, u.email, u.name, u.role, u.password_hash)
                for s in self.stores
                for u in s.users
            ],
            "(%s, %s, %s, %s, %s, %s, timestamptz '2024-01-01 10:05+00')",
        )
        for table in ("companies", "users"):
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )


def _values(store: Store, done: Fraction, share: Fraction) -> dict[str, Any]:
    """The parameters of rows_tenant.sql for the rows between two shares."""
    values: dict[str, Any] = {
        "key": store.key,
        "city": store.city,
        "categories": words.CATEGORIES,
        "dishes": words.DISHES,
        "descriptions": words.DESCRIPTIONS,
        "first": words.FIRST,
        "last": words.LAST,
        "odd": words.ODD_NAMES,
        "streets": words.STREETS,
        "notes": words.NOTES,
        "suppliers": words.SUPPLIERS,
        "user_ids": [user.id for user in store.users],
    }
    for table in TABLES:
        rows = store.rows[table]
        first, last = (_part(table, rows, part) for part in (done, share))
        values |= {f"{table}_from": first + 1, f"{table}_to": last, f"{table}_all": rows}
    return values


def _part(table: str, rows: int, share: Fraction) -> int:
    if table in FROM_THE_FIRST:
        return rows if share > 0 else 0
    return math.floor(rows * share)
