"""Memory does not grow with the dump: each format is proved in its own process, and measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.embedded import Cluster
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
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.chefwell.resilience.plugins.module_utils.archive import (
    archive, archive_digest,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
archive_digest.verify_digest(sys.argv[2])
ready = archive.prepare(sys.argv[2], sys.argv[3], postgres.find_binaries(sys.argv[4]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "bytes": ready.data_bytes, "rows": sum(ready.rows.values())}))
"""


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
    told = json.loads(ended.stdout)
    print(f"\n{form}: {told['bytes'] >> 20} MiB of data, at most {told['peak'] >> 20} MiB held")
    assert told["rows"] == ROWS + 1 and told["bytes"] > LIMIT
    assert told["peak"] < LIMIT
