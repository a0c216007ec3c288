"""`backup-manifest --tier` over a backup tree, and a server whose database it dumps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

from support.production_server import run_sql

# Debian's, which has every compression; else the wheel's.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
BINARIES = postgres.find_binaries(str(DEBIAN[-1].parent)) if DEBIAN else production.binaries()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Fixture: a server with the database `shop`."""
    with running_server(tmp_path_factory.mktemp("command")) as made:
        yield made


@contextlib.contextmanager
def running_server(root: Path) -> Iterator[Server]:
    """A server with the database `shop`, below a folder."""
    root.chmod(0o755)
    cluster = Cluster(str(root / "cluster"), BINARIES)
    cluster.create()
    try:
        made = cluster.start()
        run_sql(
            made, "postgres", "CREATE DATABASE shop", "CREATE ROLE clerk LOGIN PASSWORD 'secret'"
        )
        run_sql(
            made,
            "shop",
            "CREATE SCHEMA old; CREATE TABLE old.sale (id integer)",
            "CREATE TABLE public.sale (id serial PRIMARY KEY, what text)",
            "INSERT INTO public.sale (what) SELECT md5(n::text) FROM generate_series(1, 3000) n",
            "CREATE TABLE public.log (line text); INSERT INTO public.log VALUES ('x')",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public, old TO clerk",
            "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO clerk; GRANT USAGE ON SCHEMA old"
            " TO clerk",
        )
        yield made
    finally:
        cluster.remove()


def dsn(server: Server, user: str = "", dbname: str = "dbname=shop") -> str:
    who = f"user={user} password=secret" if user else f"user={server.user}"
    password = "" if user else f" password={server.password}"
    return f"host={server.host} port={server.port} {who}{password} {dbname}".strip()


BESIDE = (".manifest.json", ".sha256", ".roles.sql")


class Tree:
    """A backup tree, and the command over it."""

    def __init__(self, root: Path, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
        self.root, self.server, self.capfd = root, server, capfd
        self.daily = root / "backups" / "daily"
        self.daily.mkdir(parents=True)
        self.config: dict[str, Any] = {
            "backup_path": str(root / "backups"),
            "backup_tiers": ["daily"],
            "language": "en",
            "bin_dir": BINARIES.bin_dir,
            "log_file": str(root / "log"),
            **{name: str(root) for name in ("work_dir", "state_dir")},
        }
        self.errors = ""

    def run(self, *options: str, tier: str = "daily", connection: str | None = None) -> int:
        config = self.root / "staging.json"
        config.write_text(json.dumps(self.config))
        given = dsn(self.server) if connection is None else connection
        arguments = ["backup-manifest", "--config", str(config), "--tier", tier, "--dsn", given]
        code = host_cli.main([*arguments, *options])
        self.errors = self.capfd.readouterr().err
        return code

    def names(self) -> list[str]:
        return sorted(path.name for path in self.daily.iterdir())

    def backup(self) -> Path:
        (path,) = (path for path in self.daily.iterdir() if not path.name.endswith(BESIDE))
        return path


@pytest.fixture
def tree(tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]) -> Tree:
    tmp_path.chmod(0o755)
    return Tree(tmp_path, server, capfd)
