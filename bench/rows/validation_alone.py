"""Validate a restored database, beside one psql for each check and table."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive,
    expectation,
    restore,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.archive_entry import Entry
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
    database_validation,
)
from testbed import Testbed

TITLE = "a restored database validated: every table, key, index and constraint, every row counted"
COLLECTION = "validation.validate: every check, a few queries for all tables together"
REFERENCE = (
    "the plan's commands: one psql for \\dn and T2, one per table for its rows, keys and indexes"
)
NOTE = (
    "Both query the same running server. The collection also checks columns, sequences, check"
    " constraints, the structure of tenants and more; the reference compares nothing."
)
ROUNDS = 3
DATABASE = "restaurante_staging"


@dataclasses.dataclass(frozen=True)
class Fixture:
    server: Server
    expected: Expectation


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with restored(backup, binaries) as fixture:
        yield fixture


@contextlib.contextmanager
def restored(backup: Path, binaries: postgres.Binaries, only: str = "") -> Iterator[Fixture]:
    """Yield a throw-away server with a restored backup, all of it or one tenant."""
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        Path(folder).chmod(0o711)
        ready = archive.prepare(str(backup), folder, binaries)
        cluster = Cluster(str(Path(folder) / "cluster"), binaries)
        cluster.create()
        try:
            server = cluster.start()
            options = [*restore.OPTIONS]
            if only:
                listed = Path(folder) / "chosen.list"
                kept = [entry for entry in ready.toc.entries if _is_chosen(entry, only)]
                listed.write_text("".join(f"{entry.dump_id};\n" for entry in kept))
                listed.chmod(0o644)
                options.append(f"--use-list={listed}")
            done = restore.restore(ready, server, DATABASE, options=options)
            if done.errors:
                raise RuntimeError(done.errors[0])
            yield Fixture(server, expectation.from_entries(ready.toc.entries, ready.rows))
        finally:
            cluster.remove()


def _is_chosen(entry: Entry, only: str) -> bool:
    where = entry.schema or entry.name.split(" ")[-1]
    return where == only or not where.startswith("tenant_")


def collection(fixture: Fixture) -> dict[str, int]:
    settings = check_context.ValidationSettings(
        tenant_query="SELECT schema_name FROM public.companies"
    )
    with contextlib.closing(psycopg2.connect(**fixture.server.dsn(DATABASE))) as connection:
        report = database_validation.validate(connection, fixture.expected, settings)
    wrong = [check.evidence for check in report.checks if check.status == "failed"]
    if wrong:
        raise RuntimeError(wrong[0])
    return {"tables": report.totals["tables"], "rows": report.totals["rows"]}


def reference(fixture: Fixture) -> dict[str, int]:
    server = fixture.server

    def psql(statement: str) -> str:
        command = [
            *(server.binaries.path("psql"), "-h", server.host, "-p", str(server.port)),
            *("-U", server.user, "-d", DATABASE, "-c", statement),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PGPASSWORD": server.password}
        )
        return done.stdout

    psql("\\dn")
    psql(
        "SELECT 'companies', count(*) FROM companies UNION ALL SELECT 'users', count(*) FROM users"
    )
    listed = psql(
        "SELECT 'table ' || schemaname || '.' || tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    tables = re.findall(r"table (\S+)", listed)
    rows = 0
    for table in tables:
        output = psql(
            f"SELECT 'rows ' || count(*) FROM {table}"
            f" UNION ALL SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass"
            " UNION ALL SELECT indexrelid::regclass::text FROM pg_index"
            f" WHERE indrelid = '{table}'::regclass"
        )
        found = re.search(r"rows (\d+)", output)
        rows += int(found[1]) if found else 0
    return {"tables": len(tables), "rows": rows}
