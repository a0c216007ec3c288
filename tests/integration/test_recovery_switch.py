"""The switch of a recovery: killed at each step, interrupted, refused, beside a closed database."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    database_properties,
    recovery,
    recovery_run,
    recovery_switch,
    switch_journal,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    database_validation,
)
from support.production_server import (
    HOST,
    PRODUCTION,
    databases,
    recovery_settings,
    run_sql,
    server,
)
from support.waiting import wait_for

__all__ = ["server"]

RESTORED = f"{PRODUCTION}_recovered_20251120_030000"
STEPS = (
    switch_journal.ANNOUNCED,
    switch_journal.STOPPING,
    switch_journal.SWITCHING,
    "in the transaction",
    "after the transaction",
    switch_journal.STARTING,
    switch_journal.DONE,
)


def content(server: Server, dbname: str) -> str:
    return str(run_sql(server, dbname, "SELECT whose FROM content")[0][0])


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Iterator[recovery.RecoverySettings]:
    """Production, which holds `old`, and a validated database beside it, which holds `new`."""
    tmp_path.chmod(0o755)
    names = {PRODUCTION: "old", RESTORED: "new"}
    for name, whose in names.items():
        run_sql(server, "postgres", f"CREATE DATABASE {name}")
        run_sql(server, name, f"CREATE TABLE content AS SELECT '{whose}'::text AS whose")
    comment = f"{recovery.MARK}{recovery.VALIDATED}, from a.dump"
    run_sql(server, "postgres", f"COMMENT ON DATABASE {RESTORED} IS '{comment}'")
    yield recovery_settings(
        server,
        tmp_path,
        stop_command=[str(script(tmp_path, "stop"))],
        start_command=[str(script(tmp_path, "start"))],
    )
    for name in databases(server):
        run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


def script(root: Path, name: str, then: str = "") -> Path:
    """A command that leaves a line in `calls` each time it is run."""
    path = root / f"{name}.sh"
    path.write_text(f"#!/bin/sh\necho {name} >> {root}/calls\n{then}\n")
    path.chmod(0o755)
    return path


def calls(settings: recovery.RecoverySettings) -> list[str]:
    path = Path(settings.target.stop_command[0]).parent / "calls"
    return path.read_text().split() if path.exists() else []


def with_target(settings: recovery.RecoverySettings, **changes: Any) -> recovery.RecoverySettings:
    return dataclasses.replace(settings, target=dataclasses.replace(settings.target, **changes))


def in_a_child(do: Callable[[], object]) -> int:
    """Run something in a child process, which may kill itself; return how it ended."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            do()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die(*_arguments: object, **_more: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def switch_that_dies(
    settings: recovery.RecoverySettings, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, exchange = switch_journal.SwitchJournal.write, recovery_switch._exchange
    apply = database_properties.apply

    def dying_apply(cursor: Any, name: str, properties: Any) -> None:
        if name == PRODUCTION:  # not in the rehearsal
            die()
        apply(cursor, name, properties)

    def dying_write(self: Any, record: Any, now: str, *more: Any) -> Any:
        recorded = write(self, record, now, *more)
        if now == step:
            die()
        return recorded

    def dying_exchange(*arguments: Any) -> None:
        exchange(*arguments)
        die()

    def switch() -> None:
        monkeypatch.setattr(switch_journal.SwitchJournal, "write", dying_write)
        if step == "in the transaction":
            monkeypatch.setattr(database_properties, "apply", dying_apply)
        if step == "after the transaction":
            monkeypatch.setattr(recovery_switch, "_exchange", dying_exchange)
        recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)

    assert in_a_child(switch) == -signal.SIGKILL


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("then", ["resume", "undo", "the same command"])
def test_killed_at_every_step(
    settings: recovery.RecoverySettings,
    server: Server,
    step: str,
    then: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    switch_that_dies(settings, step, monkeypatch)
    # Whatever happened, production responds, and both databases are there.
    whose = content(server, PRODUCTION)
    assert whose in ("old", "new") and len(databases(server)) == 2
    state = recovery_switch.status(settings)
    assert state["connectable"] and state["switched"] is (whose == "new")
    kept = state["kept"]
    assert kept
    announced: list[str] = []
    if step == switch_journal.DONE:
        assert state["unfinished"] is None and whose == "new"
        with pytest.raises(ResilienceError, match="no switch is unfinished"):
            recovery_switch.resume(settings, announced.append)
        return
    assert state["unfinished"] and state["next"] == ["--resume"]
    with pytest.raises(ResilienceError, match="is unfinished"):
        recovery_run.restore_beside(settings, path="/nowhere")
    if then == "undo":
        recovery_switch.undo(settings, HOST, announced.append)
        assert content(server, PRODUCTION) == "old"
        assert databases(server) - {PRODUCTION}
    else:
        if then == "resume":
            done = recovery_switch.resume(settings, announced.append)
        else:
            done = recovery_switch.switch(settings, RESTORED, HOST, announced.append)
        assert (done["kept"], done["problems"]) == (kept, [])
        assert content(server, PRODUCTION) == "new" and content(server, kept) == "old"
        assert databases(server) == {PRODUCTION, kept}
        assert any(kept in text for text in announced)
    assert calls(settings)[-1] == "start"
    assert recovery_switch.status(settings)["unfinished"] is None
    # What was not switched to may still be switched to.
    (other,) = databases(server) - {PRODUCTION}
    assert [one["name"] for one in recovery.switchable_databases(settings)] == [other]


def test_killed_at_random_moments_under_clients_that_reconnect(
    settings: recovery.RecoverySettings, server: Server
) -> None:
    stop = threading.Event()
    refusals: list[str] = []

    def reconnect() -> None:
        while not stop.is_set():
            try:
                psycopg2.connect(**server.dsn(PRODUCTION)).close()
            except psycopg2.Error as error:
                refusals.append(str(error))
            time.sleep(0.02)

    clients = [threading.Thread(target=reconnect) for _number in range(3)]
    pid_moments = [0.0, 0.02, 0.05, 0.08, 0.12, 0.2, 0.4]
    for client in clients:
        client.start()
    try:
        for moment in pid_moments:
            (candidate,) = databases(server) - {PRODUCTION}
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(BaseException):
                    recovery_switch.switch(settings, candidate, HOST, lambda text: None)
                os._exit(0)
            time.sleep(moment)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            assert content(server, PRODUCTION) in ("old", "new")
            state = recovery_switch.status(settings)
            if state["unfinished"]:
                recovery_switch.resume(settings, lambda text: None)
            assert len(databases(server)) == 2
            assert recovery_switch.status(settings)["unfinished"] is None
    finally:
        stop.set()
        for client in clients:
            client.join()
    closed = [text for text in refusals if "not currently accepting connections" in text]
    assert closed == []


def test_production_is_never_a_candidate(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    """Nor where the application could not be started again; the message has the kept name."""
    fails = with_target(settings, start_command=[str(script(tmp_path, "start", "exit 1"))])
    done = recovery_switch.switch(fails, RESTORED, HOST, lambda text: None)
    assert content(server, PRODUCTION) == "new"
    assert "start.sh ended with exit 1" in str(done["problems"][0])
    (candidate,) = recovery.switchable_databases(settings)
    assert candidate["name"] == done["kept"]
    comment = f"{recovery.MARK}{recovery.VALIDATED}, by mistake"
    run_sql(server, "postgres", f"COMMENT ON DATABASE {PRODUCTION} IS '{comment}'")
    assert [one["name"] for one in recovery.switchable_databases(settings)] == [done["kept"]]
    with pytest.raises(ResilienceError, match="it is production itself"):
        recovery_switch.switch(settings, PRODUCTION, HOST, lambda text: None)


@pytest.mark.parametrize("starts", [True, False])
def test_a_stop_that_fails_starts_again(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, starts: bool
) -> None:
    fails = with_target(settings, stop_command=[str(script(tmp_path, "stop", "exit 1"))])
    if not starts:
        fails = with_target(fails, start_command=[str(script(tmp_path, "start", "exit 1"))])
    with pytest.raises(ResilienceError, match="could not be stopped") as caught:
        recovery_switch.switch(fails, RESTORED, HOST, lambda text: None)
    assert calls(settings) == ["stop", "start"]
    last = str(caught.value.remedy)
    assert ("was started again" in last) is starts
    assert starts or f"run {fails.target.start_command[0]}" in last
    assert content(server, PRODUCTION) == "old"
    assert recovery_switch.status(settings)["unfinished"] is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_application_stops(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    slow = with_target(settings, stop_command=[str(script(tmp_path, "stop", "sleep 20"))])
    pid = os.fork()
    if pid == 0:
        interrupt.listen()
        code = 0
        try:
            recovery_switch.switch(slow, RESTORED, HOST, lambda text: None)
        except ResilienceError as error:
            code = 7 if "it was interrupted" in str(error) else 1
        os._exit(code)
    wait_for(lambda: calls(settings) == ["stop"], 20)
    os.kill(pid, number)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert calls(settings) == ["stop", "start"]
    assert content(server, PRODUCTION) == "old"


def test_names_that_cannot_be_changed_leave_production_as_it_was(
    settings: recovery.RecoverySettings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command renames the database at the same time, and does not come to its end."""
    monkeypatch.setattr(recovery_switch, "LOCK_SECONDS", 1)
    monkeypatch.setattr(recovery, "PRODUCTION_SECONDS", 1)
    with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as other:
        other.cursor().execute(f"ALTER DATABASE {PRODUCTION} RENAME TO shop_elsewhere")
        with pytest.raises(ResilienceError, match="names could not be changed") as caught:
            recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)
        other.rollback()
    assert "production is as it was" in str(caught.value)
    assert calls(settings) == ["stop", "start"]
    assert content(server, PRODUCTION) == "old" and content(server, RESTORED) == "new"


def test_its_own_connection_is_ended(
    settings: recovery.RecoverySettings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = database_properties.apply

    def ended(cursor: Any, name: str, properties: Any) -> None:
        if name == PRODUCTION:  # not in the rehearsal
            number = cursor.connection.get_backend_pid()
            run_sql(server, "postgres", f"SELECT pg_terminate_backend({number})")
        apply(cursor, name, properties)

    with monkeypatch.context() as patch:
        patch.setattr(database_properties, "apply", ended)
        with pytest.raises(ResilienceError, match="production is as it was"):
            recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)
    assert calls(settings) == ["stop", "start"] and content(server, PRODUCTION) == "old"
    done = recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)
    assert content(server, PRODUCTION) == "new" and content(server, done["kept"]) == "old"


def test_back_and_forth(settings: recovery.RecoverySettings, server: Server) -> None:
    with pytest.raises(ResilienceError, match="no switch to take back"):
        recovery_switch.undo(settings, HOST, lambda text: None)
    done = recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)
    with pytest.raises(ResilienceError, match="not confirmed"):
        recovery_switch.undo(settings, None, lambda text: None)
    back = recovery_switch.undo(settings, HOST, lambda text: None)
    assert back["name"] == done["kept"] and content(server, PRODUCTION) == "old"
    assert content(server, back["kept"]) == "new"
    with pytest.raises(ResilienceError, match="taken back already"):
        recovery_switch.undo(settings, HOST, lambda text: None)
    assert content(server, PRODUCTION) == "old"


def test_an_address_without_http(settings: recovery.RecoverySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = listener.accept()
                    with connection:
                        connection.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=talk, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        checked = with_target(settings, health_url=url, seconds=1)
        done = recovery_switch.switch(checked, RESTORED, HOST, lambda text: None)
    assert done["serves"] is False and done["kept"]


SETUP = (
    "CREATE ROLE shop_owner",
    "CREATE ROLE reader",
    "CREATE ROLE granter",
    f"ALTER DATABASE {PRODUCTION} OWNER TO shop_owner",
    f"REVOKE CONNECT ON DATABASE {PRODUCTION} FROM PUBLIC",
    f"GRANT CONNECT ON DATABASE {PRODUCTION} TO granter WITH GRANT OPTION",
    f"SET ROLE granter; GRANT CONNECT ON DATABASE {PRODUCTION} TO reader; RESET ROLE",
    f"GRANT TEMPORARY ON DATABASE {PRODUCTION} TO reader",
    f"ALTER DATABASE {PRODUCTION} CONNECTION LIMIT 40",
    f"""ALTER DATABASE {PRODUCTION} SET search_path = public, "$user", "a ""b", ext""",
    f"ALTER DATABASE {PRODUCTION} SET work_mem = '7MB'",
    f"ALTER DATABASE {PRODUCTION} SET \"shop.motto\" = 'it''s = \"fine\", really'",
    f"ALTER DATABASE {PRODUCTION} SET DateStyle = 'ISO, DMY'",
    f"ALTER ROLE reader IN DATABASE {PRODUCTION} SET statement_timeout = '5s'",
    f"ALTER ROLE reader IN DATABASE {PRODUCTION} SET search_path = ext, public",
    f"COMMENT ON DATABASE {PRODUCTION} IS 'the shop''s'",
)


def test_production_after_is_production_before(
    settings: recovery.RecoverySettings, server: Server
) -> None:
    run_sql(server, "postgres", *SETUP)
    # What the restored one has of its own is replaced.
    run_sql(
        server,
        "postgres",
        f"ALTER DATABASE {RESTORED} SET work_mem = '1MB'",
        f"ALTER DATABASE {RESTORED} SET jit = on",
        f"GRANT CREATE ON DATABASE {RESTORED} TO PUBLIC",
    )

    def properties(name: str) -> database_properties.DatabaseProperties:
        with contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as connection:
            found = database_properties.read(connection.cursor(), name)
            assert found
            return found

    def shown() -> list[Any]:
        names = ("search_path", "work_mem", "shop.motto", "DateStyle")
        return [run_sql(server, PRODUCTION, f'SHOW "{name}"') for name in names]

    before, shown_before = properties(PRODUCTION), shown()
    try:
        done = recovery_switch.switch(settings, RESTORED, HOST, lambda text: None)
        assert content(server, PRODUCTION) == "new"
        after = properties(PRODUCTION)
        assert set(after.grants or ()) == set(before.grants or ())
        assert dataclasses.replace(after, grants=None) == dataclasses.replace(before, grants=None)
        assert shown() == shown_before
        kept = properties(done["kept"])
        assert kept.comment and kept.comment.endswith("the shop's")
        assert kept.settings == before.settings
    finally:
        for name in databases(server):
            run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')
        run_sql(server, "postgres", "DROP ROLE shop_owner, reader, granter")


CLOSED = {
    "closed": f"ALTER DATABASE {PRODUCTION} WITH ALLOW_CONNECTIONS false",
    "invalid": f"UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{PRODUCTION}'",
    "lost file": "SELECT 1",
}


@pytest.mark.parametrize("how", CLOSED)
def test_beside_a_database_that_cannot_be_connected_to(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, how: str
) -> None:
    """It is restored beside it, and takes its place."""
    backup = tmp_path / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(RESTORED)]
    subprocess.run(dump, check=True)
    (number,) = run_sql(
        server, "postgres", f"SELECT oid FROM pg_database WHERE datname = '{PRODUCTION}'"
    )[0]
    folder = run_sql(server, "postgres", "SHOW data_directory")[0][0]
    run_sql(server, "postgres", CLOSED[how], "CHECKPOINT")
    held = Path(folder) / "base" / str(number) / "pg_filenode.map"
    if how == "lost file":
        shutil.move(held, tmp_path / "held.map")
    try:
        with pytest.raises(psycopg2.Error):
            content(server, PRODUCTION)
        state = recovery_switch.status(settings)
        assert (state["exists"], state["connectable"]) == (True, False)
        restored = recovery_run.restore_beside(settings, path=str(backup))
        assert restored["verdict"] == "passed", restored
        done = recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)
        assert done["written_since"] is None
        assert content(server, PRODUCTION) == "new"
        assert done["kept"] in databases(server)
        assert recovery_switch.status(settings)["connectable"]
    finally:
        if how == "lost file":
            shutil.move(tmp_path / "held.map", held)


def test_rows_written_meanwhile_are_reported(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path
) -> None:
    run_sql(server, PRODUCTION, "CREATE TABLE quiet (id int)", "INSERT INTO quiet VALUES (1)")
    backup = tmp_path / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    # What a killed recovery unpacked is gone as well.
    work = Path(settings.drill.staging.work_dir)
    (work / "unpacked-old").mkdir(parents=True)
    restored = recovery_run.restore_beside(settings, path=str(backup))
    assert restored["verdict"] == "passed", restored
    assert not (work / "unpacked-old").exists()
    run_sql(server, PRODUCTION, "INSERT INTO content VALUES ('late')")
    done = recovery_switch.switch(settings, restored["name"], HOST, lambda text: None)
    assert done["written_since"] == 1


NAMED_ONCE = {
    "a grant": ["GRANT SELECT ON content TO seen_once"],
    "a default privilege": ["ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO seen_once"],
    "a user mapping": [
        "CREATE FOREIGN DATA WRAPPER remote",
        "CREATE SERVER branch FOREIGN DATA WRAPPER remote",
        "CREATE USER MAPPING FOR seen_once SERVER branch",
        "CREATE USER MAPPING FOR PUBLIC SERVER branch",
    ],
}


@pytest.mark.parametrize("what", NAMED_ONCE)
def test_a_role_that_only_a_grant_names_is_named_beforehand(
    settings: recovery.RecoverySettings, server: Server, tmp_path: Path, what: str
) -> None:
    backup = tmp_path / "shop_20251120_030000.dump"
    run_sql(server, PRODUCTION, "CREATE ROLE seen_once", *NAMED_ONCE[what])
    try:
        dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
        subprocess.run(dump, check=True)
    finally:
        run_sql(
            server,
            PRODUCTION,
            "DROP FOREIGN DATA WRAPPER IF EXISTS remote CASCADE",
            "DROP OWNED BY seen_once",
            "DROP ROLE seen_once",
        )
    before = databases(server)
    result = recovery_run.restore_beside(settings, path=str(backup))
    assert result["verdict"] == "could_not_verify" and "seen_once" in result["problem"]
    assert databases(server) == before


@pytest.mark.parametrize("wrong", [False, True], ids=["slow alone", "slow and wrong"])
def test_a_check_that_meets_its_limit_proves_nothing(
    settings: recovery.RecoverySettings,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: bool,
) -> None:
    """On a busy machine a healthy backup has not failed; what is wrong beside it still has."""
    monkeypatch.setattr(database_validation, "STATEMENT_LIMIT", 0.3)
    backup = tmp_path / "shop_20251120_030000.dump"
    dump = [server.binaries.path("pg_dump"), "-Fc", f"--file={backup}", server.url(PRODUCTION)]
    subprocess.run(dump, check=True)
    queries = [{"name": "slow", "sql": "SELECT pg_sleep(2)"}]
    if wrong:
        queries.append({"name": "wrong", "sql": "SELECT 1", "rows": [[2]]})
    validation = dataclasses.replace(settings.drill.validation, queries=tuple(queries))
    slow = dataclasses.replace(
        settings, drill=dataclasses.replace(settings.drill, validation=validation)
    )
    before = databases(server)
    result = recovery_run.restore_beside(slow, path=str(backup))
    assert result["verdict"] == ("failed" if wrong else "could_not_verify"), result
    assert wrong or "statement timeout" in result["problem"]
    assert databases(server) == before


def test_slots_and_subscriptions_are_named(
    settings: recovery.RecoverySettings, server: Server
) -> None:
    run_sql(
        server,
        PRODUCTION,
        "CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)",
    )
    announced: list[str] = []
    done = recovery_switch.switch(settings, RESTORED, HOST, announced.append)
    assert done["left_behind"] == ["subscription feed"]
    assert any("subscription feed" in text for text in announced)
    run_sql(server, done["kept"], "ALTER SUBSCRIPTION feed SET (slot_name = NONE)")
    run_sql(server, done["kept"], "DROP SUBSCRIPTION feed")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('"$user", public', ["$user", "public"]),
        ('a, "b ""c", d', ["a", 'b "c', "d"]),
        ("", []),
        ('"with, comma"', ["with, comma"]),
    ],
)
def test_lists_of_names(value: str, names: list[str]) -> None:
    assert database_properties.split_names(value) == names


def test_a_name_is_cut_at_bytes() -> None:
    name = recovery.dated_name("loja_" + "é" * 40, "recovered", "20251120_030000")
    assert len(name.encode()) <= 63 and name.endswith("_recovered_20251120_030000")
    assert "é" in name
