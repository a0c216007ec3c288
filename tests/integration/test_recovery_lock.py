"""Two hosts that recover one server at once: its lock lets one in, and says where the other is."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery_lock
from support.production_server import HOST, PRODUCTION, databases, run_sql, server
from support.recovery_host import RecoveryHost, last_lines
from support.waiting import wait_for

__all__ = ["server"]


@pytest.fixture
def hosts(server: Server, tmp_path: Path) -> Iterator[list[RecoveryHost]]:
    """Two hosts with folders of their own, and one production."""
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(RecoveryHost(server, tmp_path / name))
        made[-1].values["recovery"]["seconds"] = 60
    tmp_path.chmod(0o755)
    made[0].make_databases()
    yield made
    made[0].drop_databases()


@contextlib.contextmanager
def at_work(host: RecoveryHost, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that stands still while it stops the application."""
    stopping = host.root / "stopping"
    host.script("stop", f"touch {stopping}; while test -e {stopping}; do sleep 0.05; done")
    with host.start(*arguments) as running:
        try:
            wait_for(stopping.exists, 30)
            yield running
        finally:
            stopping.unlink(missing_ok=True)
            running.communicate(timeout=60)


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_the_second_one_is_refused_and_nothing_is_touched(
    hosts: list[RecoveryHost], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it names another maintenance database, of which a lock is a different one."""
    monkeypatch.setattr(recovery_lock, "WAIT_SECONDS", 0.3)
    first, second = hosts
    second.values["recovery"]["maintenance_db"] = database
    backup = first.root / "shop_20251120_030000.dump"
    dump = [first.server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
    subprocess.run([*dump, first.server.url(PRODUCTION)], check=True)
    switch = ("--switch", first.restored, "--confirm", HOST)
    with at_work(first, *switch) as running:
        before = databases(first.server)
        for arguments in (switch, ("--backup", str(backup)), ("--undo", "--confirm", HOST)):
            code, output, errors = second.run_whole(*arguments)
            assert code == 3 and "another recovery of shop is at work" in errors, errors
            assert (
                "from the server's own host since 20" in errors
                and "pg_terminate_backend(" in errors
            )
            # Meanwhile production serves, and the other one's end is what is waited for.
            assert last_lines(output, errors)[0] == PRODUCTION
        assert second.run_whole("--status")[0] == 2  # unfinished, by the comment
        assert databases(first.server) == before
    assert running.returncode == 0
    assert first.databases()[PRODUCTION] == "new"
    # Now the second host may: it knows the switch from the databases.
    assert second.run("--undo", "--confirm", HOST)[0] == 0
    assert first.databases()[PRODUCTION] == "old"
    assert second.run("--undo", "--confirm", HOST)[0] == 3


def test_of_two_that_begin_at_once_one_ends(hosts: list[RecoveryHost]) -> None:
    """Whichever is first: one database under production's name, the other one kept."""
    switch = ("--switch", hosts[0].restored, "--confirm", HOST)
    with hosts[0].start(*switch) as one, hosts[1].start(*switch) as two:
        ended = [running.communicate(timeout=60) for running in (one, two)]
    assert sorted((one.returncode, two.returncode)) == [0, 3], ended
    lines = [last_lines(*texts) for texts in ended]
    assert lines[0][:2] == lines[1][:2]
    # The one that did it knows that the application was started; the other one cannot.
    done = lines[(one.returncode, two.returncode).index(0)]
    assert done[2:] == ["nothing", "nothing needs to be done"]
    assert sorted(hosts[0].databases().values()) == ["new", "old"]
    assert hosts[0].databases()[PRODUCTION] == "new"


def test_the_lock_of_one_that_was_killed_is_free_at_once(hosts: list[RecoveryHost]) -> None:
    first, second = hosts
    with at_work(first, "--switch", first.restored, "--confirm", HOST) as running:
        running.send_signal(signal.SIGKILL)
        code, lines = second.run("--undo")
    assert code == 0 and lines[3] == "nothing needs to be done"
    assert first.databases() == {PRODUCTION: "old", first.restored: "new"}


def test_a_session_of_a_host_that_is_gone_is_ended_by_what_the_error_names(
    hosts: list[RecoveryHost], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_lock, "WAIT_SECONDS", 0.2)
    with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as gone:
        cursor = gone.cursor()
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", recovery_lock.key_of(PRODUCTION))
        switch = ("--switch", hosts[0].restored, "--confirm", HOST)
        errors = hosts[0].run_whole(*switch)[2]
        statement = errors.partition("run ")[2].partition(";")[0]
        assert statement.startswith("SELECT pg_terminate_backend(")
        assert run_sql(server, "postgres", statement) == [(True,)]
        assert hosts[0].run(*switch)[0] == 0


def test_another_product_of_the_server_is_not_kept_waiting(
    hosts: list[RecoveryHost], server: Server
) -> None:
    """Nor one whose number is negative for PostgreSQL."""
    names = ["bistro", "padaria", "cafe"]
    assert {recovery_lock.number_of(name) >> 31 for name in names} == {0, 1}
    with at_work(hosts[0], "--switch", hosts[0].restored, "--confirm", HOST):
        for name in names:
            hosts[1].values["recovery"]["dbname"] = name
            (hosts[1].root / "staging.json").write_text(json.dumps(hosts[1].values))
            code, _output, errors = hosts[1].run_whole("--undo", "--confirm", HOST)
            assert code == 3 and "no switch to take back" in errors
