"""Load a plain SQL dump into a running server, beside `psql -f`."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.backup import sql_loader
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.sql_left_out import LeftOut
from ansible_collections.chefwell.resilience.plugins.module_utils.database import connection
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import Testbed, production

TITLE = "a plain dump of 300 MB, ten tables with two indexes each, loaded into a running server"
COLLECTION = "sql_loader.load: every statement lexed and sent by libpq"
REFERENCE = "psql --quiet --no-psqlrc -f DUMP"
NOTE = "The collection also decides for each statement whether it may be executed."
ROUNDS = 3
DATABASE = "loaded"
TABLES, ROWS = 10, 180_000


@dataclasses.dataclass(frozen=True)
class Fixture:
    server: Server
    dump: Path

    def run(self, database: str, *statements: str) -> None:
        with (
            contextlib.closing(connection.open_connection(self.server.dsn(database))) as opened,
            opened.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    def count(self) -> int:
        names = " UNION ALL ".join(f"SELECT count(*) AS rows FROM t{n}" for n in range(TABLES))
        with (
            contextlib.closing(connection.open_connection(self.server.dsn(DATABASE))) as opened,
            opened.cursor() as cursor,
        ):
            cursor.execute(f"SELECT sum(rows) FROM ({names}) counted")
            return int(cursor.fetchone()[0])


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        Path(folder).chmod(0o711)
        cluster = Cluster(str(Path(folder) / "cluster"), production.binaries())
        cluster.create()
        try:
            fixture = Fixture(cluster.start(), Path(folder) / "plain.sql")
            fixture.run("postgres", "CREATE DATABASE source")
            for number in range(TABLES):
                fixture.run(
                    "source",
                    f"CREATE TABLE t{number} (id serial PRIMARY KEY, name text, price numeric,"
                    " at timestamptz DEFAULT now(), note text)",
                    f"INSERT INTO t{number} (name, price, note) SELECT 'Produto ' || n, n / 7.0,"
                    f" repeat(md5(n::text), 3) FROM generate_series(1, {ROWS}) n",
                    f"CREATE INDEX ON t{number} (name)",
                )
            program = fixture.server.binaries.path("pg_dump")
            command = [program, "-Fp", f"--file={fixture.dump}", fixture.server.url("source")]
            subprocess.run(command, check=True)
            fixture.run("postgres", "DROP DATABASE source")
            yield fixture
        finally:
            cluster.remove()


def before(fixture: Fixture, side: str) -> None:
    fixture.run(
        "postgres",
        f"DROP DATABASE IF EXISTS {DATABASE}",
        f"CREATE DATABASE {DATABASE}",
        "CHECKPOINT",
    )


def collection(fixture: Fixture) -> dict[str, int]:
    done = sql_loader.load(
        str(fixture.dump), fixture.server, DATABASE, left_out=LeftOut(), time_limit=600
    )
    if done.errors:
        raise RuntimeError(done.errors[0])
    return {"rows": fixture.count()}


def reference(fixture: Fixture) -> dict[str, int]:
    server = fixture.server
    command = [server.binaries.path("psql"), "--quiet", "--no-psqlrc", f"--file={fixture.dump}"]
    subprocess.run([*command, server.url(DATABASE)], check=True, stdout=subprocess.DEVNULL)
    return {"rows": fixture.count()}
