"""How runs of `disaster-recovery` end: what serves, what is kept, what is stopped, what is next."""

from __future__ import annotations

import dataclasses
import http.server
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery
from support.production_server import (
    HOST,
    PRODUCTION,
    databases,
    recovery_settings,
    run_sql,
    server,
)
from support.recovery_host import RecoveryHost, last_lines
from support.waiting import wait_for

__all__ = ["server"]

RESTORED = f"{PRODUCTION}_recovered_20251120_030000"
TENANT = "tenant_chefwell"


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Iterator[RecoveryHost]:
    tmp_path.chmod(0o755)
    made = RecoveryHost(server, tmp_path)
    made.make_databases()
    yield made
    made.drop_databases()


SWITCH = f"/scripts/disaster-recovery.sh --switch {RESTORED} --confirm {HOST}"


def test_a_switch_and_its_way_back(host: RecoveryHost) -> None:
    code, (serves, kept, stopped, after) = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 0 and serves == f"{PRODUCTION}, which was {RESTORED} until the switch"
    assert kept.startswith(f"{PRODUCTION}_before_") and kept in databases(host.server)
    assert (stopped, after) == ("nothing", "nothing needs to be done")
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0 and lines[0].startswith(f"{PRODUCTION}, which was {kept}")
    # A second one does not go forward again; that takes the name.
    code, output, errors = host.run_whole("--undo", "--confirm", HOST)
    assert code == 3 and last_lines(output, errors) == lines
    assert f"{PRODUCTION} is what it was" in errors and f"--switch {lines[1]}" in errors
    assert host.databases()[PRODUCTION] == "old"
    assert host.run("--switch", lines[1], "--confirm", HOST)[0] == 0
    assert host.databases()[PRODUCTION] == "new"
    # And a switch by name may be taken back again, also where the journal is lost.
    (host.state / "recovery-switch.json").unlink()
    assert host.run("--undo", "--confirm", HOST)[0] == 0
    (host.state / "recovery-switch.json").unlink()
    assert host.run("--undo", "--confirm", HOST)[0] == 3
    assert host.databases()[PRODUCTION] == "old"


@pytest.mark.parametrize("lost", [False, True])
def test_a_way_back_that_was_killed_goes_on_by_the_same_command(
    host: RecoveryHost, lost: bool
) -> None:
    """Where the journal is lost, it may be that it is given up; another one leads back."""
    assert host.run("--switch", RESTORED, "--confirm", HOST)[0] == 0
    host.begin("--undo", "--confirm", HOST)
    assert host.databases()[PRODUCTION] == "new"
    assert host.run("--status")[1][3] == "/scripts/disaster-recovery.sh --resume"
    if lost:
        (host.state / "recovery-switch.json").unlink()
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0 and lines[2:] == ["nothing", "nothing needs to be done"]
    assert host.databases()[PRODUCTION] == "old"
    assert host.run("--undo", "--confirm", HOST)[0] == 3
    assert host.databases()[PRODUCTION] == "old"


def test_a_way_back_whose_application_cannot_be_stopped_may_be_tried_again(
    host: RecoveryHost,
) -> None:
    assert host.run("--switch", RESTORED, "--confirm", HOST)[0] == 0
    host.script("stop", "exit 1")
    assert host.run("--undo", "--confirm", HOST)[0] == 3
    assert host.databases()[PRODUCTION] == "new"
    host.script("stop")
    assert host.run("--undo")[0] == 3  # without its confirmation
    assert host.run("--undo", "--confirm", HOST)[0] == 0
    assert host.databases()[PRODUCTION] == "old"


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
def test_a_refusal(host: RecoveryHost, arguments: tuple[str, ...]) -> None:
    code, lines = host.run(*arguments)
    assert code == 3
    assert lines == [PRODUCTION, "nothing", "nothing", "nothing needs to be done"]


def test_a_restore_names_the_switch(host: RecoveryHost) -> None:
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
    # An older one is named where there is one, and the copy elsewhere before that.
    older = host.root / "shop_20251119_030000.dump"
    subprocess.run([*dump[:-1], f"--file={older}", host.server.url(PRODUCTION)], check=True)
    host.values["backup_tiers"] = ["."]
    command = "/scripts/disaster-recovery.sh"
    assert host.run()[1][3] == f"{command} --backup {older}"
    host.values["offsite_config"] = str(host.root / "offsite.json")
    assert host.run()[1][3] == f"{command} --from-offsite"
    assert host.run("--date", "2025-11-18")[1][3] == f"{command} --from-offsite --date 2025-11-18"
    assert host.run("--date", "2025-11-19")[1][3].startswith(f"{command} --switch ")
    host.values["offsite_config"] = ""
    code, output, errors = host.run_whole("--from-offsite")
    assert code == 3 and "no offsite copy is configured" in output + errors
    assert last_lines(output, errors)[3] == "nothing needs to be done"


def test_what_may_be_a_part_is_not_passed_and_people_decide(host: RecoveryHost) -> None:
    """As in a drill; but it may be all that is left, so the database is kept and named."""
    backup = host.root / "shop_20251121_030000.dump"
    dump = [host.server.binaries.path("pg_dump"), "-Fc", "-n", "public", f"--file={backup}"]
    subprocess.run([*dump, host.server.url(PRODUCTION)], check=True)
    code, output, errors = host.run_whole("--backup", str(backup), "--confirm", HOST)
    assert code == 3, output + errors
    assert "Restored beside production, and something may be missing" in output
    assert host.databases()[PRODUCTION] == "old"
    line = last_lines(output, errors)[3]
    assert line.startswith(f"/scripts/disaster-recovery.sh --switch {PRODUCTION}_recovered_2")
    name = line.split()[2]
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %(name)s"
    assert "which may be a part" in run_sql(host.server, "postgres", query, name=name)[0][0]
    assert host.run(*line.split()[1:])[0] == 0
    assert PRODUCTION in host.databases()


def test_the_programs_of_drills_serve_a_recovery_where_they_fit(
    server: Server, tmp_path: Path
) -> None:
    target = dataclasses.replace(recovery_settings(server, tmp_path).target, bin_dir="")
    own = server.binaries.bin_dir
    fitting = recovery.server_of(dataclasses.replace(target, drills_bin_dir=own))
    assert fitting.binaries.bin_dir == own
    newer = dataclasses.replace(target, drills_bin_dir=own.replace("pginstall", "pginstall18"))
    assert recovery.server_of(newer).binaries.major <= server.binaries.major


def test_on_a_new_server_the_next_command_fetches_the_copy(host: RecoveryHost) -> None:
    """There is no database and no backup; whatever was run last, the copy elsewhere is next."""
    host.drop_databases()
    command = "/scripts/disaster-recovery.sh"
    assert host.run("--status")[1][3] == command  # there is no copy either
    host.values["offsite_config"] = str(host.root / "offsite.json")
    for arguments in (["--status"], ["--list"], ["--undo", "--confirm", HOST], ["--resume"], []):
        assert host.run(*arguments)[1][3] == f"{command} --from-offsite", arguments
    assert host.run("--tenant", "shop")[1][3] == f"{command} --tenant shop --from-offsite"
    # What kept it from being fetched is named, and then the same command is the next one.
    again = ["--from-offsite=second", "--date", "2025-11-18"]
    assert host.run(*again)[1][3] == " ".join([command, *again])
    assert "nothing was restored beside production" in host.run_whole("--list")[1]
    (host.root / "shop_20251120_030000.dump").write_bytes(b"PGDMP")
    host.values["backup_tiers"] = ["."]
    assert host.run("--status")[1][3] == command


class Healthy(http.server.BaseHTTPRequestHandler):
    """An application that somebody has started by hand."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_an_application_that_does_not_start(host: RecoveryHost) -> None:
    host.script("start", "exit 1")
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 2
    assert lines[2:] == ["the application", f"{host.root}/start.sh"]
    # It stays so until a run has started it, or its address responds.
    assert host.run("--status")[1][2] == "the application"
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as healthy:
        threading.Thread(target=healthy.serve_forever, daemon=True).start()
        host.values["recovery"]["health_url"] = f"http://127.0.0.1:{healthy.server_port}/"
        assert host.run("--status")[1][2:] == ["nothing", "nothing needs to be done"]
        healthy.shutdown()
    del host.values["recovery"]["health_url"]
    assert host.run("--resume")[0] == 2
    host.script("start", f"touch {host.root}/started")
    code, lines = host.run("--resume")
    assert code == 0 and lines[2:] == ["nothing", "nothing needs to be done"]
    assert (host.root / "started").exists()
    assert host.run("--resume")[0] == 3
    host.script("start")
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0 and lines[2] == "nothing"


def test_an_application_that_cannot_be_stopped(host: RecoveryHost) -> None:
    host.script("stop", "exit 1")
    host.script("start", "exit 1")
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 3
    assert lines == [PRODUCTION, "nothing", "the application", f"{host.root}/start.sh"]


def test_a_system_that_does_not_respond(host: RecoveryHost) -> None:
    host.values["recovery"]["health_url"] = "http://127.0.0.1:9/"
    host.values["recovery"]["seconds"] = 1
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 2
    assert lines[3] == f"/scripts/disaster-recovery.sh --undo --confirm {HOST}"
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 2
    assert lines[3] == f"/scripts/disaster-recovery.sh --switch {lines[1]} --confirm {HOST}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal(host: RecoveryHost, number: signal.Signals) -> None:
    host.script("stop", f"touch {host.root}/stopping; sleep 30")
    with host.start("--switch", RESTORED, "--confirm", HOST) as running:
        wait_for(lambda: (host.root / "stopping").exists(), 30)
        running.send_signal(number)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 3
    lines = last_lines(output, errors)
    assert lines == [PRODUCTION, "nothing", "nothing", "nothing needs to be done"]


def test_a_switch_that_was_killed(host: RecoveryHost) -> None:
    host.begin_switch()
    code, lines = host.run("--status")
    assert code == 2 and lines[0] == PRODUCTION
    assert lines[2:] == ["the application", "/scripts/disaster-recovery.sh --resume"]
    # Any other command is refused, and names the same way on.
    code, lines = host.run("--tier", "daily")
    assert code == 3 and lines[3] == "/scripts/disaster-recovery.sh --resume"
    assert host.run("--resume")[0] == 0


@pytest.mark.parametrize("how", ["gone", "closed"])
def test_production_that_is_not_there(host: RecoveryHost, how: str) -> None:
    if how == "gone":
        run_sql(host.server, "postgres", f"DROP DATABASE {PRODUCTION}")
    else:
        run_sql(host.server, "postgres", f"ALTER DATABASE {PRODUCTION} ALLOW_CONNECTIONS false")
    code, lines = host.run("--status")
    assert code == 2 and lines[0].startswith("nothing: ") and lines[3] == SWITCH
    run_sql(host.server, "postgres", f"DROP DATABASE {RESTORED}")
    assert host.run("--list")[1][3] == "/scripts/disaster-recovery.sh"


@pytest.mark.parametrize("arguments", [("--status",), ("--list",), ("--resume",), ()], ids=" ".join)
def test_a_server_that_cannot_be_connected_to(
    host: RecoveryHost, arguments: tuple[str, ...]
) -> None:
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
def test_a_torn_journal(host: RecoveryHost, how: str) -> None:
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


def test_a_journal_torn_after_the_exchange(host: RecoveryHost) -> None:
    assert host.run("--switch", RESTORED, "--confirm", HOST)[0] == 0
    (host.state / "recovery-switch.json").write_bytes(b"{")
    code, lines = host.run("--status")
    assert code == 2 and lines[3] == "/scripts/disaster-recovery.sh --resume"
    code, lines = host.run("--resume")
    assert code == 0 and lines[3] == "nothing needs to be done"
    code, lines = host.run("--undo", "--confirm", HOST)
    assert code == 0
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("old",)]


def test_a_journal_that_is_a_folder(host: RecoveryHost) -> None:
    (host.state / "recovery-switch.json").mkdir(parents=True)
    code, lines = host.run("--switch", RESTORED, "--confirm", HOST)
    assert code == 3 and lines[0] == PRODUCTION
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("old",)]


def test_a_connection_that_ends_meanwhile(host: RecoveryHost) -> None:
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


def test_a_tenant(host: RecoveryHost) -> None:
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
    assert host.run(*one, "--resume")[0] == 3
    # The way back is the tenant's alone; the database stays as it is.
    assert host.run(*one, "--undo")[0] == 3
    code, lines = host.run(*one, "--undo", "--confirm", HOST)
    assert code == 0 and lines[0].startswith(f"{TENANT}, which was {TENANT}_before_")
    assert RESTORED in databases(host.server)
    assert run_sql(host.server, PRODUCTION, "SELECT whose FROM content") == [("old",)]
    code, output, errors = host.run_whole(*one, "--undo", "--confirm", HOST)
    assert code == 3 and last_lines(output, errors) == lines
    assert f"--switch {lines[1]}" in errors
    code, lines = host.run(*one, "--switch", "nobody", "--confirm", HOST)
    assert code == 3 and lines[0].startswith(TENANT)
