"""Encoding and locale of production, of every provider, after a recovery and after one by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    by_hand,
    recovery_run,
    recovery_switch,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.production_server import HOST, PRODUCTION, databases, recovery_settings, run_sql
from testbed import production

OF_16 = production.binaries().bin_dir
# Debian's PostgreSQL has ICU; the builtin provider came with 17.
PROGRAMS = {
    "15": "/usr/lib/postgresql/15/bin",
    "16": OF_16,
    "18": OF_16.replace("pginstall", "pginstall18"),
}
# Version of the server, and what production is made as.
PRODUCTIONS = {
    "ICU": ("15", "LOCALE_PROVIDER icu ICU_LOCALE 'pt-BR-u-kn-true' LOCALE 'C.UTF-8'"),
    "another encoding": ("16", "ENCODING 'LATIN1' LOCALE 'C'"),
    "builtin": ("18", "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"),
    "builtin, of all letters": (
        "18",
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LC_CTYPE 'C.UTF-8'",
    ),
}
# All of pg_database but what counts databases and transactions.
ROW = """SELECT to_jsonb(d) - '{oid,datfrozenxid,datminmxid}'::text[]
    FROM pg_database d WHERE datname = %(name)s"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """A server of each version."""
    made = {}
    with contextlib.ExitStack() as stack:
        for version, bin_dir in PROGRAMS.items():
            folder = tmp_path_factory.mktemp(f"of-{version}")
            folder.chmod(0o755)
            cluster = Cluster(str(folder / "cluster"), postgres.find_binaries(bin_dir))
            cluster.create()
            stack.callback(cluster.remove)
            made[version] = cluster.start()
        yield made


@dataclasses.dataclass
class Scene:
    """Production on one of the servers, and backups of it."""

    server: Server
    root: Path

    def row(self, name: str = PRODUCTION) -> Any:
        (row,) = run_sql(self.server, "postgres", ROW, name=name)[0]
        return {**row, "datname": PRODUCTION}

    def back_up(self, *options: str) -> Path:
        ending = "sql" if "-Fp" in options else "dump"
        path = self.root / f"shop_20251120_030000.{ending}"
        dump = [self.server.binaries.path("pg_dump"), *options, f"--file={path}"]
        subprocess.run([*dump, self.server.url(PRODUCTION)], check=True)
        return path

    def names(self) -> Any:
        return run_sql(self.server, PRODUCTION, "SELECT name FROM names ORDER BY name")

    def lose(self) -> None:
        run_sql(self.server, "postgres", f"DROP DATABASE {PRODUCTION} WITH (FORCE)")


@pytest.fixture
def scene(
    servers: dict[str, Server], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    version, made_as = PRODUCTIONS[request.param]
    tmp_path.chmod(0o755)
    made = Scene(servers[version], tmp_path)
    create = f"CREATE DATABASE {PRODUCTION} TEMPLATE template0 {made_as}"
    run_sql(made.server, "postgres", create)
    values = "('João'), ('item 10'), ('item 9'), ('jota'), ('Ábaco')"
    run_sql(
        made.server,
        PRODUCTION,
        "CREATE TABLE names (name text PRIMARY KEY)",
        f"INSERT INTO names VALUES {values}",
    )
    yield made
    for name in databases(made.server):
        run_sql(made.server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("scene", PRODUCTIONS, indirect=True)
def test_after_a_recovery_they_are_as_before(scene: Scene) -> None:
    """Out of production, as a plain dump holds neither."""
    before, names = scene.row(), scene.names()
    server, bin_dir = scene.server, scene.server.binaries.bin_dir
    settings = recovery_settings(server, scene.root, bin_dir=bin_dir)
    restored = recovery_run.restore_beside(settings, path=str(scene.back_up("-Fp")))
    assert restored["verdict"] == "passed" and restored["unlike"] == [], restored
    done = recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)
    assert scene.row() == before and scene.names() == names
    assert scene.row(done["kept"]) == before


@pytest.mark.parametrize("scene", PRODUCTIONS, indirect=True)
def test_of_a_database_that_is_gone_they_come_out_of_the_backup(scene: Scene) -> None:
    before, names = scene.row(), scene.names()
    backup = scene.back_up("-Fc")
    scene.lose()
    settings = recovery_settings(scene.server, scene.root, bin_dir=scene.server.binaries.bin_dir)
    restored = recovery_run.restore_beside(settings, path=str(backup))
    assert restored["verdict"] == "passed", restored
    recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)
    assert scene.row() == before and scene.names() == names


@pytest.mark.parametrize(
    "scene", [one for one in PRODUCTIONS if "16" not in PRODUCTIONS[one]], indirect=True
)
def test_by_hand_they_are_as_before(scene: Scene) -> None:
    """Out of production; then out of each form of backup, where production is gone.

    Those of other databases: `test_by_hand_encoding_and_locale_are_productions`.
    """
    before, names = scene.row(), scene.names()
    target = recovery_settings(scene.server, scene.root).target
    forms = (("-Fp",), ("-Fc",), ("-Fp", "--create"))
    for options in forms:
        backup = scene.back_up(*options)
        if options != forms[0]:
            scene.lose()
        for block in (by_hand.restore(target, str(scene.root), ""), by_hand.switch(target)):
            ran = subprocess.run(
                ["bash"],
                input="\n".join(block) + "\n",
                env={
                    "PATH": f"{scene.server.binaries.bin_dir}:/usr/bin:/bin",
                    "PGPASSWORD": scene.server.password,
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran
        assert scene.row() == before and scene.names() == names, options
        backup.unlink()
