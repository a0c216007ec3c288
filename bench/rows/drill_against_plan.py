"""A drill against what the plan would have somebody type, from the backup to the last answer."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.common import process
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from testbed import Testbed

TITLE = "the newest backup restored and every table counted, staging made and removed"
OURS = "drill.run: proved whole, restored in parallel into a throw-away server, all questions asked"
THEIRS = "initdb, a default server, gunzip | pg_restore, one psql a question and a table"
NOTE = (
    "Ours also proves the file whole and asks after every key, index, constraint and sequence;"
    " theirs asks T1 to T3 of the plan. Neither starts the backend."
)
ROUNDS = 3
DATABASE = "restaurante_staging"
T2 = ("companies", "users")


@dataclasses.dataclass(frozen=True)
class Things:
    backup: Path
    folder: Path
    binaries: postgres.Binaries


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Things]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        Path(folder).chmod(0o711)
        (Path(folder) / "state").mkdir()
        yield Things(backup, Path(folder), binaries)


def ours(things: Things) -> dict[str, int]:
    place = staging.Settings(
        kind="embedded",
        work_dir=str(things.folder / "staging"),
        database=DATABASE,
        bin_dir=things.binaries.bin_dir,
    )
    settings = drill.Settings(place, str(things.folder / "state"), str(things.backup.parent.parent))
    result = drill.run(settings)
    if result["verdict"] != drill.PASSED:
        raise RuntimeError(f"{result['verdict']}: {result['problem']}")
    return {"tables": result["totals"]["tables"], "rows": result["totals"]["rows"]}


def theirs(things: Things) -> dict[str, int]:
    folder = Path(tempfile.mkdtemp(dir=things.folder))
    if os.geteuid() == 0:
        os.chown(folder, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
    try:
        with _default_server(things.binaries, folder):
            return _type(things, folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _default_server(binaries: postgres.Binaries, folder: Path) -> Iterator[None]:
    """A server with the settings that initdb gives it, reached over its socket only."""
    prefix = postgres.unprivileged([binaries.bin_dir, str(folder / "data")])
    initdb = [*prefix, binaries.path("initdb"), "-D", str(folder / "data"), "-U", "postgres"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    options = ["-c", "listen_addresses=", "-k", str(folder)]
    with process.started(
        [*prefix, binaries.path("postgres"), "-D", str(folder / "data"), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    ) as server:
        ready = [binaries.path("psql"), "-h", str(folder), "-U", "postgres", "-c", "SELECT 1"]
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            if server.poll() is not None:
                raise RuntimeError("the default server ended")
        yield
        server.terminate()
        server.wait(timeout=30)


def _type(things: Things, folder: Path) -> dict[str, int]:
    access = ["-h", str(folder), "-U", "postgres"]

    def psql(statement: str, database: str = DATABASE) -> str:
        command = [things.binaries.path("psql"), *access, "-d", database, "-c", statement]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    psql(f"CREATE DATABASE {DATABASE}", "postgres")
    with subprocess.Popen(["gunzip", "-c", str(things.backup)], stdout=subprocess.PIPE) as unpacked:
        subprocess.run(
            [things.binaries.path("pg_restore"), *access, "-d", DATABASE],
            stdin=unpacked.stdout,
            check=True,
        )
    psql("\\dn")
    psql(
        "SELECT 'companies', count(*) FROM companies UNION ALL SELECT 'users', count(*) FROM users"
    )
    for table in ("products", "sales", "customers"):
        psql(f"SELECT count(*) FROM tenant_chefwell.{table}")
    listed = psql(
        "SELECT 'table ' || schemaname || '.' || tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    tables = re.findall(r"table (\S+)", listed)
    counts = [psql(f"SELECT 'rows ' || count(*) FROM {table}") for table in tables]
    return {
        "tables": len(tables),
        "rows": sum(int(found[1]) for one in counts if (found := re.search(r"rows (\d+)", one))),
    }
