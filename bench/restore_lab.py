"""The lab of the drill rows: one backup in a given format, drilled, and bare restores of it.

The bare restore makes the same server with the same settings, restores with as many processes, and
removes it again. It checks nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import kind_archive
from ansible_collections.chefwell.resilience.plugins.module_utils.database import connection
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    private_cluster,
    staging,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation.check_context import (
    ValidationSettings,
)
from testbed import Testbed, production

from .offsite_lab import in_memory

COLLECTION = "drill.run: digest, decoding, a server made, the restore, every check, all removed"
NOTE = "The reference checks nothing. The aim is 1/1.15 = 0.87 or more, with --scale 60 and 360."


@dataclasses.dataclass(frozen=True)
class Fixture:
    """A backup and the folder that both sides work in."""

    folder: Path
    backup: Path


@contextlib.contextmanager
def dumped(bed: Testbed, suffix: str, *options: str) -> Iterator[Fixture]:
    """Dump the testbed's production into memory.

    Args:
        bed: the testbed.
        suffix: of the backup's name; empty for a folder.
        options: of pg_dump, the format among them.
    """
    with in_memory(), tempfile.TemporaryDirectory(prefix="chefwell-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        backup = folder / f"chefwell_backup_20250101_030000{suffix}"
        server = bed.record["postgres"]
        url = "postgresql://{user}@{host}:{port}/{dbname}".format(**server)
        command = [production.binaries().path("pg_dump"), *options, f"--file={backup}", url]
        subprocess.run(command, check=True, env={"PGPASSFILE": bed.record["passfile"]})
        yield Fixture(folder, backup)


def run_drill(fixture: Fixture, validation: ValidationSettings | None = None) -> dict[str, int]:
    """Drill the backup as cron does.

    Args:
        fixture: the backup.
        validation: settings of the checks; the default ones when left out.

    Raises:
        RuntimeError: it did not pass.
    """
    place = staging.StagingSettings(
        "embedded", str(fixture.folder / "work"), bin_dir=production.binaries().bin_dir
    )
    settings = proof_settings.ProofSettings(
        place,
        str(fixture.folder / "state"),
        str(fixture.folder),
        validation=validation or ValidationSettings(),
    )
    forget_peak()
    result = drill.run(settings, path=str(fixture.backup))
    if result["verdict"] != proof_settings.PASSED:
        raise RuntimeError(f"{result['verdict']}: {result['problem']}")
    times = ", ".join(f"{one['name']} {one['seconds']:.2f}" for one in result["phases"])
    print(f"   at most {peak()} MiB held by this process during this drill; {times}")
    return {"rows": result["totals"]["rows"]}


def forget_peak() -> None:
    """Let the peak of this process's memory begin anew (5 in clear_refs, see proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most MiB that this process held since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10


def jobs() -> list[str]:
    """Return the options of pg_restore with which a drill restores as well."""
    return ["--no-owner", f"--jobs={kind_archive.default_jobs()}"]


def run_restore(fixture: Fixture, command: Sequence[str]) -> dict[str, int]:
    """Restore the backup by a command alone.

    Args:
        fixture: the backup.
        command: a program of PostgreSQL and its options; the database's address and the backup
            follow.
    """
    cluster = private_cluster.Cluster(str(fixture.folder / "bare"), production.binaries())
    cluster.create()
    try:
        server = cluster.start()
        execute(server, "postgres", "CREATE DATABASE bare")
        program, *options = command
        line = [server.binaries.path(program), f"--dbname={server.url('bare')}", *options]
        subprocess.run([*line, str(fixture.backup)], check=True, stdout=subprocess.DEVNULL)
        return {"rows": _rows(server)}
    finally:
        cluster.remove()


def execute(server: Server, database: str, *statements: str) -> None:
    """Execute statements, one by one."""
    opened = connection.open_connection(server.dsn(database))
    with contextlib.closing(opened), opened.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


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
