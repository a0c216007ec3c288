"""Drill a backup of 3,000 small tenants, beside a bare restore into the same server."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from ansible_collections.chefwell.resilience.plugins.module_utils.database import connection
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.proof_settings import (
    ProofSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.staging import (
    StagingSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation.check_context import (
    ValidationSettings,
)
from testbed import Testbed, production

TENANTS, TABLES = 3_000, 8
TITLE = f"a backup of {TENANTS:,} tenants with {TABLES} small tables each, drilled"
COLLECTION = "drill.run: digest, decoding, a server made, the restore, every check, all removed"
REFERENCE = "the same server made, pg_restore --jobs=1 into it, rows counted, all removed"
NOTE = "The reference checks nothing. Making the backup takes some minutes, which are not timed."
ROUNDS = 1
QUERY = "SELECT schema_name FROM public.companies"


@dataclasses.dataclass(frozen=True)
class Fixture:
    folder: Path
    backup: Path


def _run(server: Server, database: str, *statements: str) -> None:
    opened = connection.open_connection(server.dsn(database))
    with contextlib.closing(opened), opened.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


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
            _run(server, "postgres", "CREATE DATABASE source")
            _run(server, "source", "CREATE TABLE public.companies (schema_name text PRIMARY KEY)")
            for number in range(TENANTS):
                _run(server, "source", _tenant(number))
            backup = root / "shop_20250101_030000.dump"
            command = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
            subprocess.run([*command, server.url("source")], check=True)
        finally:
            cluster.remove()
        yield Fixture(root, backup)


def collection(fixture: Fixture) -> dict[str, int]:
    place = StagingSettings(
        "embedded", str(fixture.folder / "work"), bin_dir=production.binaries().bin_dir
    )
    settings = ProofSettings(
        place,
        str(fixture.folder / "state"),
        str(fixture.folder),
        validation=ValidationSettings(tenant_query=QUERY),
    )
    result = drill.run(settings, path=str(fixture.backup))
    if result["verdict"] != "passed":
        raise RuntimeError(result["problem"] or str(result["checks"])[:500])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"   at most {peak} MiB held by this process so far")
    return {"rows": result["totals"]["rows"]}


def _rows(server: Server) -> int:
    opened = connection.open_connection(server.dsn("bare"))
    with contextlib.closing(opened), opened.cursor() as cursor:
        cursor.execute(
            "SELECT format('SELECT count(*) AS n FROM %I.%I', nspname, relname) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema)'"
        )
        queries = [str(query) for (query,) in cursor.fetchall()]
        total = 0
        for start in range(0, len(queries), 100):
            together = " UNION ALL ".join(queries[start : start + 100])
            cursor.execute(f"SELECT sum(n) FROM ({together}) counted")
            total += int(cursor.fetchone()[0])
        return total


def reference(fixture: Fixture) -> dict[str, int]:
    cluster = private_cluster.Cluster(str(fixture.folder / "bare"), production.binaries())
    cluster.create()
    try:
        server = cluster.start()
        _run(server, "postgres", "CREATE DATABASE bare")
        command = [server.binaries.path("pg_restore"), "--no-owner", "--jobs=1"]
        subprocess.run(
            [*command, f"--dbname={server.url('bare')}", str(fixture.backup)], check=True
        )
        return {"rows": _rows(server)}
    finally:
        cluster.remove()
