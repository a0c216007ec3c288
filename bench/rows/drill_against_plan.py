"""Run a drill, beside the commands of the plan, from the backup to the last check."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.common import process
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from testbed import Testbed

TITLE = "the newest backup restored and every table counted, staging made and removed"
COLLECTION = (
    "drill.run: decoded in full, restored in parallel into a throw-away server, every check"
)
REFERENCE = "initdb, a default server, gunzip | pg_restore, T1 to T3, one psql a check and a table"
NOTE = (
    "The collection also decodes the file in full, compares everything with what is expected, and"
    " checks columns, constraints, sequences and the structure of tenants. The reference runs the"
    " plan's T1 to T3 (T3 for each tenant), then checks 2 to 4 (keys, indexes, rows) of each table,"
    " and compares nothing; its times go to standard error. Neither starts the backend."
)
ROUNDS = 3
DATABASE = "restaurante_staging"
# As the plan has them; T3 runs with the schema of each tenant.
T1 = 'psql -U postgres -d restaurante_staging -c "\\dn" | grep tenant_'
T2 = """psql -U postgres -d restaurante_staging -c "
  SELECT
    'companies' as table, count(*) FROM companies
  UNION ALL
  SELECT 'users', count(*) FROM users;
\""""
T3 = """psql -U postgres -d restaurante_staging -c "
  SELECT count(*) as products FROM tenant_chefwell.products;
  SELECT count(*) as sales FROM tenant_chefwell.sales;
  SELECT count(*) as customers FROM tenant_chefwell.customers;
\""""
# The plan's checks 2, 3 and 4, for one table.
CHECKS = {
    "keys": "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f'"
    " AND conrelid = '{table}'::regclass",
    "indexes": "SELECT indexrelid::regclass, indisvalid FROM pg_index"
    " WHERE indrelid = '{table}'::regclass",
    "rows": "SELECT 'rows ' || count(*) FROM {table}",
}


@dataclasses.dataclass(frozen=True)
class Fixture:
    backup: Path
    folder: Path
    binaries: postgres.Binaries


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        Path(folder).chmod(0o711)
        (Path(folder) / "state").mkdir()
        yield Fixture(backup, Path(folder), binaries)


def collection(fixture: Fixture) -> dict[str, int]:
    place = staging.StagingSettings(
        engine="embedded",
        work_dir=str(fixture.folder / "staging"),
        database=DATABASE,
        bin_dir=fixture.binaries.bin_dir,
    )
    settings = proof_settings.ProofSettings(
        place, str(fixture.folder / "state"), str(fixture.backup.parent.parent)
    )
    result = drill.run(settings)
    if result["verdict"] != proof_settings.PASSED:
        raise RuntimeError(f"{result['verdict']}: {result['problem']}")
    return {"tables": result["totals"]["tables"], "rows": result["totals"]["rows"]}


def reference(fixture: Fixture) -> dict[str, int]:
    folder = Path(tempfile.mkdtemp(dir=fixture.folder))
    if os.geteuid() == 0:
        os.chown(folder, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
    try:
        with _default_server(fixture.binaries, folder):
            return _run_plan(fixture, folder)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _default_server(binaries: postgres.Binaries, folder: Path) -> Iterator[None]:
    """Run a server with the settings of initdb, reached over its socket only."""
    prefix = postgres.unprivileged([binaries.bin_dir, str(folder / "data")])
    initdb = [*prefix, binaries.path("initdb"), "-D", str(folder / "data"), "-U", "postgres"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/")
    options = ["-c", "listen_addresses=", "-k", str(folder)]
    with process.running_program(
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


def _run_plan(fixture: Fixture, folder: Path) -> dict[str, int]:
    bin_dir = fixture.binaries.bin_dir
    reached = {"PGHOST": str(folder), "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}

    def sh(line: str) -> str:
        command = ["bash", "-o", "pipefail", "-c", line]
        environment = {**os.environ, **reached}
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment
        ).stdout

    def psql(statement: str) -> str:
        command = [f"{bin_dir}/psql", "-U", "postgres", "-d", DATABASE, "-c", statement]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **reached}
        ).stdout

    clock = [time.perf_counter()]
    sh(f"createdb -U postgres {DATABASE}")
    sh(f"gunzip -c {fixture.backup} | pg_restore -U postgres -d {DATABASE}")
    clock.append(time.perf_counter())
    stores = re.findall(r"tenant_\w+", sh(T1))
    sh(T2)
    for store in stores:
        sh(T3.replace("tenant_chefwell", store))
    clock.append(time.perf_counter())
    listed = psql(
        "SELECT 'table ' || schemaname || '.' || tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    tables = re.findall(r"table (\S+)", listed)
    for check in ("keys", "indexes"):
        for table in tables:
            psql(CHECKS[check].format(table=table))
    clock.append(time.perf_counter())
    counts = [psql(CHECKS["rows"].format(table=table)) for table in tables]
    clock.append(time.perf_counter())
    took = [f"{after - before:.1f} s" for before, after in itertools.pairwise(clock)]
    sys.stderr.write(
        "bench: reference: restored in {}, T1 to T3 {}, keys and indexes {}, rows {}\n".format(
            *took
        )
    )
    return {
        "tables": len(tables),
        "rows": sum(int(found[1]) for one in counts if (found := re.search(r"rows (\d+)", one))),
    }
