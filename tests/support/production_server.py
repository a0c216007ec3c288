"""A PostgreSQL server as production's, a database on it, and the settings of its recovery."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.proof.restore_settings import (
    RecoveryServer,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from testbed import production

from support.drill_settings import drill_settings

HOST = socket.gethostname()
PRODUCTION = "shop"


@contextlib.contextmanager
def production_server(folder: Path) -> Iterator[Server]:
    """A server of its own for the block."""
    folder.chmod(0o755)
    cluster = Cluster(str(folder / "cluster"), production.binaries())
    cluster.create()
    try:
        yield cluster.start()
    finally:
        cluster.remove()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Fixture: such a server for a file of tests."""
    with production_server(tmp_path_factory.mktemp("production")) as made:
        yield made


def recovery_settings(server: Server, root: Path, **options: Any) -> recovery.RecoverySettings:
    """Settings of a recovery of `PRODUCTION`.

    Args:
        server: production's.
        root: folder of everything that is written.
        options: fields of the target that differ from these.
    """
    bin_dir = production.binaries().bin_dir
    drill = drill_settings(root, bin_dir)
    target = RecoveryServer(
        **{
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
            "dbname": PRODUCTION,
            "bin_dir": bin_dir,
            "seconds": 20,
            **options,
        }
    )
    return recovery.RecoverySettings(dataclasses.replace(drill), target)


def run_sql(server: Server, dbname: str, *statements: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run statements, each by itself; return the rows of the last one."""
    with contextlib.closing(psycopg2.connect(**server.dsn(dbname))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def databases(server: Server) -> set[str]:
    """The names of production's databases, before, now and afterwards."""
    query = "SELECT datname FROM pg_database WHERE datname LIKE %(like)s"
    return {name for (name,) in run_sql(server, "postgres", query, like=f"{PRODUCTION}%")}
