"""A recovery beside replication: a standby, prepared transactions, a consumer of a logical slot."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.production_server import HOST, PRODUCTION, databases, run_sql
from support.recovery_host import RecoveryHost, last_lines
from support.waiting import wait_for
from testbed import production

REPLICATION = {"wal_level": "logical", "max_wal_senders": "4", "max_prepared_transactions": "5"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A primary server with what replication needs."""
    folder = tmp_path_factory.mktemp("primary")
    folder.chmod(0o755)
    cluster = Cluster(str(folder / "cluster"), production.binaries())
    cluster.create()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(private_cluster, "SETTINGS", private_cluster.SETTINGS | REPLICATION)
        try:
            yield cluster.start()
        finally:
            cluster.remove()


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Iterator[RecoveryHost]:
    tmp_path.chmod(0o755)
    made = RecoveryHost(server, tmp_path)
    # What it calls would show that the application was touched.
    for name in ("stop", "start"):
        made.script(name, f"echo {name} >> {tmp_path}/calls")
    made.make_databases()
    yield made
    made.drop_databases()


def calls(host: RecoveryHost) -> list[str]:
    path = host.root / "calls"
    return path.read_text().split() if path.exists() else []


@contextlib.contextmanager
def standby_of(server: Server, folder: Path) -> Iterator[Server]:
    """A copy of a server that replays its changes, with a socket of its own."""
    folder.chmod(0o755)
    cluster, data = Cluster(str(folder), server.binaries), folder / "data"
    sockets = Path(tempfile.mkdtemp(prefix=private_cluster.SOCKETS_PREFIX))
    (folder / "sockets").write_text(str(sockets))
    # It has the primary's users.
    (folder / "password").write_text(server.password)
    copy = [server.binaries.path("pg_basebackup"), "-R", "-X", "stream", "-c", "fast", "-D", data]
    subprocess.run([*copy, "-d", server.url("postgres")], check=True)
    if os.geteuid() == 0:
        for path in (sockets, data, *data.rglob("*")):
            os.chown(path, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED, follow_symlinks=False)
    try:
        yield cluster.start()
    finally:
        cluster.remove()


def test_a_standby_is_refused_before_anything_is_touched(
    server: Server, host: RecoveryHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    backup = host.root / f"{PRODUCTION}_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    with standby_of(server, tmp_path_factory.mktemp("standby")) as standby:
        assert run_sql(standby, "postgres", "SELECT pg_is_in_recovery()") == [(True,)]
        host.values["recovery"]["host"] = standby.host
        for arguments in (
            ("--backup", str(backup)),
            ("--backup", str(backup), "--tenant", "public"),
            ("--switch", host.restored, "--confirm", HOST),
        ):
            code, output, errors = host.run_whole(*arguments)
            assert code == 3 and "the server is a standby" in errors, (arguments, output, errors)
            assert "pg_promote" in errors and "recovery.host" in errors
            assert not (host.state / "recovery-switch.json").exists()
        assert calls(host) == []
    assert host.databases() == {PRODUCTION: "old", host.restored: "new"}


@pytest.mark.parametrize("where", [PRODUCTION, "restored"])
def test_a_prepared_transaction_is_named_and_nothing_is_stopped(
    server: Server, host: RecoveryHost, where: str
) -> None:
    """PostgreSQL renames no database that has one, and no session ends it."""
    name = host.restored if where == "restored" else where
    gid = "the shop's order 4711"
    escaped = gid.replace("'", "''")
    run_sql(server, name, f"BEGIN; DELETE FROM content; PREPARE TRANSACTION '{escaped}'")
    try:
        code, output, errors = host.run_whole("--switch", host.restored, "--confirm", HOST)
        assert code == 3 and last_lines(output, errors)[3] == "nothing needs to be done"
        assert f"{gid} ({name}, postgres, 2" in errors
        assert f"ROLLBACK PREPARED '{escaped}'" in errors
        assert calls(host) == [] and not (host.state / "recovery-switch.json").exists()
        assert databases(server) == {PRODUCTION, host.restored}
    finally:
        run_sql(server, name, f"ROLLBACK PREPARED '{escaped}'")
    assert host.run("--switch", host.restored, "--confirm", HOST)[0] == 0


def test_a_transaction_that_is_prepared_while_the_application_stops(
    server: Server, host: RecoveryHost
) -> None:
    """It was not there beforehand: production stays as it was, and the application is started."""
    psql = f"{server.binaries.path('psql')} -Xq '{server.url(PRODUCTION)}'"
    prepare = "BEGIN; DELETE FROM content; PREPARE TRANSACTION 'late'"
    host.script("stop", f'{psql} -c "{prepare}"')
    code, _output, errors = host.run_whole("--switch", host.restored, "--confirm", HOST)
    try:
        assert (
            code == 3 and "prepared transaction" in errors and "production is as it was" in errors
        )
        assert calls(host) == ["start"]
    finally:
        run_sql(server, PRODUCTION, "ROLLBACK PREPARED 'late'")
    host.script("stop")
    assert host.run("--switch", host.restored, "--confirm", HOST)[0] == 0


def test_a_consumer_of_a_logical_slot_does_not_stand_in_the_way(
    server: Server, host: RecoveryHost
) -> None:
    """It connects again and again; its slot is named, and stays with the old database."""
    create = "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')"
    run_sql(server, PRODUCTION, create)
    run_sql(server, PRODUCTION, "CREATE PUBLICATION feed FOR TABLE content")
    receive = [server.binaries.path("pg_recvlogical"), "-d", server.url(PRODUCTION)]
    decode = ["-o", "proto_version=1", "-o", "publication_names=feed"]
    options = ["--slot=feed", "--start", "-f", os.devnull, *decode]
    active = "SELECT active FROM pg_replication_slots"
    with subprocess.Popen([*receive, *options], stderr=subprocess.DEVNULL) as consumer:
        try:
            wait_for(lambda: run_sql(server, "postgres", active) == [(True,)], 30)
            code, output, errors = host.run_whole("--switch", host.restored, "--confirm", HOST)
        finally:
            consumer.kill()
    assert code == 0, (output, errors)
    before, _found, _after = errors.partition("▶")
    assert "what stays with the old database: replication slot feed" in before
    held = host.databases()
    (kept,) = set(held) - {PRODUCTION}
    assert held == {PRODUCTION: "new", kept: "old"}
    where = "SELECT slot_name, database FROM pg_replication_slots"
    assert run_sql(server, "postgres", where) == [("feed", kept)]
    wait_for(lambda: run_sql(server, "postgres", active) == [(False,)], 30)
    run_sql(server, kept, "SELECT pg_drop_replication_slot('feed')")
