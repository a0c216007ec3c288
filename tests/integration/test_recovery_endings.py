"""How runs of `disaster-recovery` end: what serves, what is kept, what is stopped, what is next."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery
from support.production_server import (
    HOST,
    PRODUCTION,
    databases,
    production_server,
    recovery_settings,
    run_sql,
)
from support.waiting import wait_for

RESTORED = f"{PRODUCTION}_recovered_20251120_030000"
TENANT = "tenant_chefwell"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with production_server(tmp_path_factory.mktemp("production")) as made:
        yield made


class Host:
    """A host with the command, its configuration and production."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server, self.root = server, root
        settings = recovery_settings(server, root)
        target = settings.target
        self.state = Path(settings.drill.state_dir)
        self.values: dict[str, Any] = {
            "engine": "embedded",
            "work_dir": settings.drill.staging.work_dir,
            "state_dir": settings.drill.state_dir,
            "bin_dir": target.bin_dir,
            "backup_path": str(root),
            "scripts_dir": "/scripts",
            "tenants": {"query": ""},
            "log_file": str(root / "log"),
            "language": "en",
            "recovery": {
                "host": target.host,
                "port": target.port,
                "user": target.user,
                "password": target.password,
                "dbname": target.dbname,
                "bin_dir": target.bin_dir,
                "seconds": 5,
                "stop_command": [str(self.script("stop"))],
                "start_command": [str(self.script("start"))],
            },
        }

    def script(self, name: str, then: str = "") -> Path:
        path = self.root / f"{name}.sh"
        path.write_text(f"#!/bin/sh\n{then}\n")
        path.chmod(0o755)
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        config = self.root / "staging.json"
        config.write_text(json.dumps(self.values))
        collection = "ansible_collections.chefwell.resilience.plugins.module_utils"
        command = [sys.executable, "-m", f"{collection}.host_cli", "disaster-recovery"]
        return subprocess.Popen(
            [*command, *arguments, f"--config={config}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run the command here; return its exit code and the last four lines that people see."""
        code, output, errors = self.run_whole(*arguments)
        return code, last_lines(output, errors)

    def run_whole(self, *arguments: str) -> tuple[int, str, str]:
        config = self.root / "staging.json"
        config.write_text(json.dumps(self.values))
        output, errors = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in interrupt.SIGNALS}
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                code = host_cli.main(["disaster-recovery", *arguments, f"--config={config}"])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return code, output.getvalue(), errors.getvalue()

    def begin_switch(self) -> None:
        """Begin a switch that dies while the application stops."""
        pid = os.fork()
        if pid == 0:
            self.script("stop", f"kill -9 {os.getpid()}")
            with contextlib.suppress(BaseException):
                self.run_whole("--switch", RESTORED, "--confirm", HOST)
            os._exit(0)
        os.waitpid(pid, 0)
        self.script("stop")


def last_lines(output: str, errors: str) -> list[str]:
    assert "Traceback" not in output + errors, output + errors
    text = output if "▶" in output else errors
    found = re.search(
        r"^▶ Serves: (.+)\n▶ Kept: (.+)\n▶ Stopped: (.+)\n▶ Next: (.+)\n\Z", text, re.MULTILINE
    )
    assert found, (output, errors)
    return list(found.groups())


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Iterator[Host]:
    tmp_path.chmod(0o755)
    for name, whose in ((PRODUCTION, "old"), (RESTORED, "new")):
        run_sql(server, "postgres", f"CREATE DATABASE {name}")
        run_sql(server, name, f"CREATE TABLE content AS SELECT '{whose}'::text AS whose")
    mark = f"{recovery.MARK}{recovery.VALIDATED}, from a.dump"
    run_sql(server, "postgres", f"COMMENT ON DATABASE {RESTORED} IS '{mark}'")
    yield Host(server, tmp_path)
    for name in databases(server):
        run_sql(server, "postgres", f'DROP DATABASE "{name}" WITH (FORCE)')


SWITCH = f"/scripts/disaster-recovery.sh --switch {RESTORED} --confirm {HOST}"


def test_a_switch_and_its_way_back(host: Host) -> None:
    code, (serves, kept, stopped, after) = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 0 and serves == f"{PRODUCTION}, which was {RESTORED} until the switch"
    assert kept.startswith(f"{PRODUCTION}_before_") and kept in databases(host.server)
    assert (stopped, after) == ("nothing", "nothing needs to be done")
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0 and lines[0].startswith(f"{PRODUCTION}, which was {kept}")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--switch", RESTORED),
        ("--switch", RESTORED, "--confirm", "another-host"),
        ("--switch", "nobody", "--confirm", HOST),
        ("--resume",),
        ("--undo", "--confirm", HOST),
        ("--backup", "/nowhere/at_all.dump"),
        ("--tier", "daily"),
        ("--confirm", "another-host"),
    ],
    ids=" ".join,
)
def test_a_refusal(host: Host, arguments: tuple[str, ...]) -> None:
    code, lines = host.run(*arguments)
    assert code == 3
    assert lines == [PRODUCTION, "nothing", "nothing", "nothing needs to be done"]


def test_a_restore_names_the_switch(host: Host) -> None:
    backup = host.root / "shop_20251120_030000.dump"
    dump = [host.server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
    subprocess.run([*dump, host.server.url(PRODUCTION)], check=True)
    code, lines = host.run("--backup", str(backup))
    assert code == 0 and lines[0] == PRODUCTION
    assert f"--switch {PRODUCTION}_recovered_2" in lines[3]
    assert lines[3].endswith(f"--confirm {HOST}")
    backup.write_bytes(backup.read_bytes()[:-200])
    code, lines = host.run("--backup", str(backup))
    assert code == 2 and lines[3] == "nothing needs to be done"


def test_an_application_that_does_not_start(host: Host) -> None:
    host.script("start", "exit 1")
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 2
    assert lines[2:] == ["the application", f"{host.root}/start.sh"]
    # It stays so until a run has started it.
    assert host.run("--status")[1][2] == "the application"
    host.script("start")
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0 and lines[2] == "nothing"


def test_an_application_that_cannot_be_stopped(host: Host) -> None:
    host.script("stop", "exit 1")
    host.script("start", "exit 1")
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 3
    assert lines == [PRODUCTION, "nothing", "the application", f"{host.root}/start.sh"]


def test_a_system_that_does_not_respond(host: Host) -> None:
    host.values["recovery"]["health_url"] = "http://127.0.0.1:9/"
    host.values["recovery"]["seconds"] = 1
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 2
    assert lines[3] == f"/scripts/disaster-recovery.sh --undo --confirm {HOST}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal(host: Host, number: signal.Signals) -> None:
    host.script("stop", f"touch {host.root}/stopping; sleep 30")
    with host.start("--switch", RESTORED, "--confirm", HOST) as running:
        wait_for(lambda: (host.root / "stopping").exists(), 30)
        running.send_signal(number)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 3
    lines = last_lines(output, errors)
    assert lines == [PRODUCTION, "nothing", "nothing", "nothing needs to be done"]


def test_a_switch_that_was_killed(host: Host) -> None:
    host.begin_switch()
    code, lines = host.run("--status")
    assert code == 2 and lines[0] == PRODUCTION
    assert lines[2:] == ["the application", "/scripts/disaster-recovery.sh --resume"]
    # Any other command is refused, and names the same way on.
    code, lines = host.run("--tier", "daily")
    assert code == 3 and lines[3] == "/scripts/disaster-recovery.sh --resume"
    assert host.run("--resume")[0] == 0


@pytest.mark.parametrize("how", ["gone", "closed"])
def test_production_that_is_not_there(host: Host, how: str) -> None:
    if how == "gone":
        run_sql(host.server, "postgres", f"DROP DATABASE {PRODUCTION}")
    else:
        run_sql(host.server, "postgres", f"ALTER DATABASE {PRODUCTION} ALLOW_CONNECTIONS false")
    code, lines = host.run("--status")
    assert code == 2 and lines[0].startswith("nothing: ") and lines[3] == SWITCH
    run_sql(host.server, "postgres", f"DROP DATABASE {RESTORED}")
    assert host.run("--list")[1][3] == "/scripts/disaster-recovery.sh"


@pytest.mark.parametrize("arguments", [("--status",), ("--list",), ("--resume",), ()], ids=" ".join)
def test_a_server_that_cannot_be_connected_to(host: Host, arguments: tuple[str, ...]) -> None:
    host.values["recovery"]["host"] = str(host.root / "no-sockets")
    code, lines = host.run(*arguments)
    assert code == 3 and lines[0].startswith("unknown: ")
    assert lines[3] == "/scripts/disaster-recovery.sh --status"


TORN = {
    "empty": b"",
    "cut off": b'{"moment": "20251120_0300',
    "wrong fields": b'{"moment": 5, "name": [], "name_oid": "x", "production": null, "kept": 1,'
    b' "comment": {}, "step": "done"}',
    "unknown step": b'{"moment": "a", "name": "b", "name_oid": 1, "production": "c", "kept": null,'
    b' "comment": "", "step": "dancing"}',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("how", TORN)
def test_a_torn_journal(host: Host, how: str) -> None:
    """The databases show what it held: here, a switch that was killed before the exchange."""
    host.begin_switch()
    (host.state / "recovery-switch.json").write_bytes(TORN[how])
    _code, output, errors = host.run_whole("--status")
    lines = last_lines(output, errors)
    assert "the journal of the last switch cannot be read" in output
    assert lines[0] == PRODUCTION and lines[3] == "/scripts/disaster-recovery.sh --resume"
    code, lines = host.run("--resume")
    assert code == 0 and lines[0].startswith(f"{PRODUCTION}, which was {RESTORED}")
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("new",)]
    assert len(databases(host.server)) == 2


def test_a_journal_torn_after_the_exchange(host: Host) -> None:
    assert host.run("--switch", RESTORED, "--confirm", HOST)[0] == 0
    (host.state / "recovery-switch.json").write_bytes(b"{")
    code, lines = host.run("--status")
    assert code == 2 and lines[3] == "/scripts/disaster-recovery.sh --resume"
    code, lines = host.run("--resume")
    assert code == 0 and lines[3] == "nothing needs to be done"
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("old",)]


def test_a_journal_that_is_a_folder(host: Host) -> None:
    (host.state / "recovery-switch.json").mkdir(parents=True)
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 3 and lines[0] == PRODUCTION
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("old",)]


def test_a_connection_that_ends_meanwhile(host: Host) -> None:
    """Each session of the tool is ended as soon as it is there."""
    with host.start("--switch", RESTORED, "--confirm", HOST) as running:
        deadline = time.monotonic() + 5
        while running.poll() is None and time.monotonic() < deadline:
            run_sql(
                host.server,
                "postgres",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
        output, errors = running.communicate(timeout=60)
    last_lines(output, errors)
    assert running.returncode in (0, 3), errors
    assert run_sql(host.server, PRODUCTION, "SELECT count(*) FROM content") == [(1,)]
    if running.returncode:
        code, _lines = host.run("--status")
        assert code in (0, 2)


def test_a_tenant(host: Host) -> None:
    run_sql(
        host.server,
        PRODUCTION,
        f"CREATE SCHEMA {TENANT}",
        f"CREATE TABLE {TENANT}.goods AS SELECT 1 AS id",
    )
    backup = host.root / "shop_20251120_030000.dump"
    dump = [host.server.binaries.path("pg_dump"), "-Fc", f"--file={backup}"]
    subprocess.run([*dump, host.server.url(PRODUCTION)], check=True)
    one = ("--tenant", TENANT)
    code, lines = host.run(*one, "--backup", str(backup))
    assert code == 0 and lines[0] == TENANT and f"--tenant {TENANT} --switch" in lines[3]
    name = lines[3].split("--switch ")[1].split()[0]
    code, lines = host.run(*one, "--switch", name, "--confirm", HOST)
    assert code == 0 and lines[0] == f"{TENANT}, which was {name} until the switch"
    assert lines[1].startswith(f"{TENANT}_before_") and lines[2] == "nothing"
    code, lines = host.run(*one, "--switch", "nobody", "--confirm", HOST)
    assert code == 3 and lines[0].startswith(TENANT)
