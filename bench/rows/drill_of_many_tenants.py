"""Drill a backup of 3,000 small tenants, beside a bare restore into the same server."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.validation.check_context import (
    ValidationSettings,
)
from testbed import Testbed, production

from bench import restore_lab
from bench.restore_lab import Fixture, execute

TENANTS, TABLES = 3_000, 8
TITLE = f"a backup of {TENANTS:,} tenants with {TABLES} small tables each, drilled"
COLLECTION = restore_lab.COLLECTION
REFERENCE = "the same server made, pg_restore --jobs=1 into it, rows counted, all removed"
NOTE = (
    "The reference checks nothing. Making the backup takes some minutes, which are not timed. The"
    " aim is 1/1.3 = 0.77 or more."
)
ROUNDS = 1
QUERY = "SELECT schema_name FROM public.companies"


def _tenant(number: int) -> str:
    name = f"tenant_{number:05d}"
    tables = [
        f"CREATE TABLE {name}.t{table} (id serial PRIMARY KEY, name text NOT NULL"
        + (f", parent integer REFERENCES {name}.t0" if table else "")
        + f"); CREATE INDEX ON {name}.t{table} (name);"
        f" INSERT INTO {name}.t{table} (name) SELECT 'x' || n FROM generate_series(1, 5) n;"
        for table in range(TABLES)
    ]
    return f"INSERT INTO public.companies VALUES ('{name}'); CREATE SCHEMA {name};" + "".join(
        tables
    )


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        cluster = private_cluster.Cluster(str(root / "cluster"), production.binaries())
        cluster.create()
        # pg_dump locks all tables at once.
        locks = {"max_locks_per_transaction": str(TENANTS * TABLES // 30 + 256)}
        try:
            with mock.patch.dict(private_cluster.SETTINGS, locks):
                server = cluster.start()
            execute(server, "postgres", "CREATE DATABASE source")
            execute(
                server, "source", "CREATE TABLE public.companies (schema_name text PRIMARY KEY)"
            )
            for number in range(TENANTS):
                execute(server, "source", _tenant(number))
            backup = root / "shop_20250101_030000.dump"
            command = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
            subprocess.run([*command, server.url("source")], check=True)
        finally:
            cluster.remove()
        yield Fixture(root, backup)


def collection(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_drill(fixture, ValidationSettings(tenant_query=QUERY))


def reference(fixture: Fixture) -> dict[str, int]:
    return restore_lab.run_restore(fixture, ["pg_restore", "--no-owner", "--jobs=1"])
