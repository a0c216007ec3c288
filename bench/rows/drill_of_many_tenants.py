"""Drill a backup of 3,000 small tenants, beside a bare restore and beside one of 100 tenants."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.validation.check_context import (
    ValidationSettings,
)
from testbed import Testbed, production

from bench import restore_lab
from bench.offsite_lab import in_memory
from bench.restore_lab import Fixture, execute

FEW, TENANTS, TABLES = 100, 3_000, 8
TITLE = f"a backup of {TENANTS:,} tenants with {TABLES} small tables each, drilled"
COLLECTION = restore_lab.COLLECTION
REFERENCE = "the same server made, pg_restore --jobs=1 into it, rows counted, all removed"
NOTE = ""
ROUNDS = 1
QUERY = "SELECT schema_name FROM public.companies"


@dataclasses.dataclass
class Backups:
    """Two backups of the same shape.

    Attributes:
        few, many: of 100 and of 3,000 tenants.
        seconds: of the last drill of the few.
    """

    few: Fixture
    many: Fixture
    seconds: float = 0.0


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
def prepared(bed: Testbed) -> Iterator[Backups]:
    with in_memory(), tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        root = Path(folder)
        root.chmod(0o711)
        cluster = private_cluster.Cluster(str(root / "cluster"), production.binaries())
        cluster.create()
        # pg_dump locks all tables at once.
        locks = {"max_locks_per_transaction": str(TENANTS * TABLES // 30 + 256)}
        made = []
        try:
            with mock.patch.dict(private_cluster.SETTINGS, locks):
                server = cluster.start()
            for count in (FEW, TENANTS):
                name = f"shop{count}"
                execute(server, "postgres", f"CREATE DATABASE {name}")
                companies = "CREATE TABLE public.companies (schema_name text PRIMARY KEY)"
                execute(server, name, companies, *(_tenant(number) for number in range(count)))
                backup = root / f"{name}_20250101_030000.dump"
                command = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
                subprocess.run([*command, server.url(name)], check=True)
                made.append(Fixture(root, backup))
        finally:
            cluster.remove()
        yield Backups(*made)


def before(backups: Backups, side: str) -> None:
    """Drill the backup of 100 tenants, which is compared with for each table."""
    if side == "collection":
        backups.seconds = _drill(backups.few)


def _drill(backup: Fixture) -> float:
    started = time.perf_counter()
    restore_lab.run_drill(backup, ValidationSettings(tenant_query=QUERY))
    return time.perf_counter() - started


def collection(backups: Backups) -> dict[str, int]:
    """Drill the backup of 3,000 tenants; the note has the seconds of a table on both sides."""
    global NOTE
    started = time.perf_counter()
    found = restore_lab.run_drill(backups.many, ValidationSettings(tenant_query=QUERY))
    few = 1000 * backups.seconds / (FEW * TABLES)
    many = 1000 * (time.perf_counter() - started) / (TENANTS * TABLES)
    NOTE = (
        f"A table takes {many:.2f} ms of the drill of {TENANTS:,} tenants and {few:.2f} ms of one"
        f" of {FEW}: {many / few:.2f} times as long; the aim is at most 1.3. The reference checks"
        " nothing."
    )
    return found


def reference(backups: Backups) -> dict[str, int]:
    return restore_lab.run_restore(backups.many, ["pg_restore", "--no-owner", "--jobs=1"])
