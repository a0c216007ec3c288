"""Memory does not grow with the dump: what proves each format, and a whole drill at two sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 200 << 20
ROWS = 120_000  # of about two thousand bytes
FORMS = {
    "custom": ["-Fc", "-Z1"],
    "custom, not compressed": ["-Fc", "-Z0"],
    "directory": ["-Fd", "-Z1"],
    "tar": ["-Ft"],
    "plain": ["-Fp"],
}
PROVE = """
import json, re, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive, backup_digest,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
backup_digest.verify_digest(sys.argv[2])
ready = archive.prepare(sys.argv[2], sys.argv[3], postgres.find_binaries(sys.argv[4]))
# Of this program alone: what getrusage(2) has begins with what the parent held.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
print(json.dumps({"peak": peak, "bytes": ready.data_bytes, "rows": sum(ready.rows.values())}))
"""
# A drill as cron runs it, in a process of its own.
DRILL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
work, dump, bin_dir = sys.argv[2:]
place = staging.StagingSettings("embedded", work + "/staging", bin_dir=bin_dir)
result = drill.run(proof_settings.ProofSettings(place, work + "/state", work), path=dump)
print(json.dumps([result["verdict"], result["problem"], result["totals"]]))
"""
# How much more the large dump may take than the small one, of a twelfth of its rows: 9 MiB on an
# idle machine, up to 25 where it is busy and several programs hold data at the same moment.
SLACK = 32 << 20


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("large")
    folder.chmod(0o755)
    cluster = Cluster(str(folder / "cluster"), production.binaries())
    cluster.create()
    made = {}
    try:
        server = cluster.start()
        connection = psycopg2.connect(**server.dsn("postgres"))
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE t AS SELECT n, repeat(md5(n::text), 64) AS text"
                f" FROM generate_series(1, {ROWS}) n"
            )
            cursor.execute("CREATE TABLE line AS SELECT repeat('wide ', 8000000) AS text")
        connection.close()
        for form, options in FORMS.items():
            made[form] = folder / f"{form}.dump"
            subprocess.run(
                [
                    server.binaries.path("pg_dump"),
                    *options,
                    f"--file={made[form]}",
                    server.url("postgres"),
                ],
                check=True,
            )
        with (
            psycopg2.connect(**server.dsn("postgres")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"DELETE FROM t WHERE n > {ROWS // 12}; DROP TABLE line")
        connection.close()
        made["small"] = folder / "small.dump"
        pg_dump = [server.binaries.path("pg_dump"), *FORMS["custom"], server.url("postgres")]
        with made["small"].open("wb") as small:
            subprocess.run(pg_dump, stdout=small, check=True)
    finally:
        cluster.remove()
    return made


@pytest.mark.parametrize("form", FORMS)
def test_proving_a_dump_takes_little_memory(
    dumps: dict[str, Path], form: str, tmp_path: Path
) -> None:
    arguments = [str(ROOT / "build" / "collections"), str(dumps[form]), str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-c", PROVE, *arguments, production.binaries().bin_dir],
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(ended.stdout)
    print(f"\n{form}: {result['bytes'] >> 20} MiB of data, at most {result['peak'] >> 20} MiB held")
    assert result["rows"] == ROWS + 1 and result["bytes"] > LIMIT
    assert result["peak"] < LIMIT


def held_by(root: int) -> int:
    """Bytes that a process and all it started hold; of PostgreSQL's server nothing is counted.

    Shared pages are divided among those who share them (Pss, proc(5)).
    """
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            output = (entry / "stat").read_text()
        except OSError:
            continue
        name, _bracket, rest = output.partition("(")[2].rpartition(")")
        names[int(entry.name)], parents[int(entry.name)] = name, int(rest.split()[1])
    local = {root}
    while more := {pid for pid, parent in parents.items() if parent in local} - local:
        local |= more
    total = 0
    for pid in local:
        if names.get(pid) == "postgres":
            continue
        try:
            output = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found = [line.split()[1] for line in output.splitlines() if line.startswith("Pss:")]
        total += int(found[0]) << 10 if found else 0
    return total


def test_a_whole_drill_takes_as_little_for_a_large_dump_as_for_a_small_one(
    dumps: dict[str, Path], tmp_path: Path
) -> None:
    peaks: dict[str, int] = {}
    # The drill of the small dump is short, and a busy machine looks into it seldom: several show
    # the most that it holds.
    for number, size in enumerate(("small", "small", "small", "custom")):
        work = tmp_path / f"{size}{number}"
        work.mkdir()
        for folder in (tmp_path, work):
            folder.chmod(0o755)
        arguments = [str(ROOT / "build" / "collections"), str(work), str(dumps[size])]
        with subprocess.Popen(
            [sys.executable, "-c", DRILL, *arguments, production.binaries().bin_dir],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        ) as running:
            peak = samples = 0
            while running.poll() is None:
                peak, samples = max(peak, held_by(running.pid)), samples + 1
                time.sleep(0.03)
            assert running.stdout is not None
            output = running.stdout.read()
        verdict, problem, totals = json.loads(output)
        assert verdict == "passed", problem
        assert samples > 20 and peak > 10 << 20
        peaks[size] = max(peak, peaks.get(size, 0))
        print(f"\n{size}: {totals['rows']} rows, at most {peak >> 20} MiB in {samples} looks")
    assert max(peaks.values()) < LIMIT
    assert peaks["custom"] - peaks["small"] < SLACK, peaks
