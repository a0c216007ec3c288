"""Connections out of staging, seen as processes of this host that connect to another host."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.findings import IgnoreRule
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.messages import (
    translate_result,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import (
    backend_process,
    connection_monitor,
    isolation,
    sandbox_network,
    shared_server,
    staging,
)
from support.drill_settings import backend_of, drill_of_testbed, drill_settings
from support.remote_host import RemoteHost
from testbed import Testbed, production

PORT = 5125
# Accepts connections and sends nothing, as a slow mail server would.
LISTEN = f"""
import socket, time
server = socket.create_server(("0.0.0.0", {PORT}))
held = []
while True:
    held.append(server.accept())
"""
# The testbed's backend, which first connects to a host: itself, or by a child with its own session.
CALLS = """
import os, runpy, socket, sys, time
place, port, how, script = sys.argv[1:5]
sys.argv = [script]
if how == "itself":
    held = socket.create_connection((place, int(port)))
elif not (child := os.fork()):
    os.setsid()
    held = socket.create_connection((place, int(port)))
    time.sleep(4)
    os._exit(0)
if script == "/dev/null":
    os.waitpid(child, 0)
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def far() -> Iterator[RemoteHost]:
    made = RemoteHost()
    listener = subprocess.Popen([*made.inside, sys.executable, "-c", LISTEN])
    try:
        time.sleep(0.5)
        yield made
    finally:
        listener.kill()
        listener.wait()
        made.remove()


def settings(bed: Testbed, root: Path, *calls: str, **place: Any) -> proof_settings.ProofSettings:
    """A drill whose backend calls `calls`: address, port, how."""
    script = root / "calls.py"
    script.write_text(CALLS)
    script.chmod(0o644)
    before = [str(script), *calls] if calls else []
    backend = backend_of(bed, *before, env={"MAIL_ENABLED": "no-value-is-shown"})
    return drill_of_testbed(bed, root, staging={"backend": backend, **place})


def check_of(result: dict[str, Any]) -> dict[str, Any]:
    found = [one for one in result["checks"] if one["id"] == "isolation"]
    assert len(found) == 1, result["problem"]
    return dict(found[0])


def test_nothing_leaves_a_staging_without_a_sandbox(
    bed: Testbed, far: RemoteHost, tmp_path: Path
) -> None:
    """A connection that this test itself holds is not staging's."""
    other = subprocess.Popen(
        [sys.executable, "-c", CALLS, far.address, str(PORT), "child", "/dev/null"]
    )
    try:
        result = drill.run(settings(bed, tmp_path, sandbox=False))
    finally:
        other.wait()
    check = check_of(result)
    assert (result["verdict"], check["status"]) == ("passed", "passed"), result
    assert "none led beyond this host" in check["evidence"], check
    # No tenant is named for the report, so it shows one whose user logged in.
    assert result["featured_schema"] in {user["schema"] for user in bed.record["users"]}
    assert [call["id"] for call in result["api"]][:2] == ["login", "products"]
    assert "weaker than a closed network" in check["evidence"], check
    assert "JWT_SECRET, MAIL_ENABLED" in check["evidence"], check
    assert "no-value-is-shown" not in str(result)
    looks = next(part for part in check["evidence"].split() if part.isdigit())
    assert int(looks) >= 2, check
    evidence = translate_result(translations("pt_BR"), check)["evidence"]
    assert "suas conexões foram lidas" in evidence and "JWT_SECRET" in evidence


@pytest.mark.parametrize("how", ["itself", "child"])
def test_a_backend_that_calls_out_fails(
    bed: Testbed, far: RemoteHost, tmp_path: Path, how: str
) -> None:
    configured = settings(bed, tmp_path, far.address, str(PORT), how, sandbox=False)
    result = drill.run(configured)
    check = check_of(result)
    assert (result["verdict"], check["status"]) == ("could_not_verify", "failed"), result
    assert "may have left staging" in result["problem"] and result["confidence"] is None
    (finding,) = check["findings"]
    assert (finding["id"], finding["subject"]) == (
        "isolation.connection",
        f"{far.address}:{PORT}",
    )
    assert [one["id"] for one in result["checks"] if one["status"] == "failed"] == ["isolation"]
    rule = IgnoreRule("isolation.connection", "the test's own far host", f"{far.address}:*")
    validation = dataclasses.replace(configured.validation, ignore=[rule])
    ignored = check_of(drill.run(dataclasses.replace(configured, validation=validation)))
    assert ignored["status"] == "skipped" and "the test's own far host" in ignored["evidence"]


# The testbed's backend, which first looks what it reaches, and writes that to its log.
LOOKS = """
import os, runpy, socket, sys
places, script = sys.argv[1], sys.argv[2]
sys.argv = [script]
for place in places.split(","):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
        print("reached", place, flush=True)
    except OSError as error:
        print("no:", place, error, flush=True)
for path in ("/etc/shadow", "/root", "/home", os.environ["SECRET_FILE"]):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).read()
        print("read", path, flush=True)
    except OSError as error:
        print("no:", path, error, flush=True)
print("user", os.geteuid(), "processes", sum(name.isdigit() for name in os.listdir("/proc")))
sys.stdout.flush()
runpy.run_path(script, run_name="__main__")
"""


def test_an_application_in_a_sandbox_reaches_nothing(
    bed: Testbed, far: RemoteHost, tmp_path: Path
) -> None:
    """And is reached: its login and its routes are checked through the relay of its port."""
    (tmp_path / "app").mkdir()
    script = tmp_path / "app" / "looks.py"
    script.write_text(LOOKS)
    secret = tmp_path / "secret"
    secret.write_text("what only this host knows")
    secret.chmod(0o644)
    production = bed.record["postgres"]["port"]
    places = f"{far.address}:{PORT},127.0.0.1:{production},8.8.8.8:53"
    backend = backend_of(bed, str(script), places, env={"SECRET_FILE": str(secret)})
    drilled = drill_of_testbed(bed, tmp_path, staging={"backend": backend})
    result = drill.run(drilled, keep=True)
    try:
        log = (Path(drilled.staging.work_dir) / "backend.log").read_text()
        assert log.count("no:") == 7 and "reached" not in log and "read " not in log, log
        assert "user 0" not in log, log
        check = check_of(result)
        assert (result["verdict"], check["status"]) == ("passed", "passed"), result
        assert "the server, the application: each in a sandbox" in check["evidence"], check
        assert any(
            one["id"] == "api_login" and one["status"] == "passed" for one in result["checks"]
        )
        # The way to its port leads to no other socket of this host.
        sockets = Path(drilled.staging.work_dir) / "backend-socket"
        assert [path.name for path in sockets.iterdir()] == ["backend"]
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "other"))
            other.listen()
            (tmp_path / "other").chmod(0o777)
            (sockets / "backend").unlink()
            (sockets / "backend").symlink_to(tmp_path / "other")
            assert not backend_process.healthy(drilled.staging.backend)
            other.settimeout(0.5)
            with pytest.raises(TimeoutError):
                other.accept()
    finally:
        drill.clean_up(drilled)
    assert not (Path(drilled.staging.work_dir) / "port_relay.py").exists()
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", backend.port))


def test_a_drill_without_an_application_is_checked_too(bed: Testbed, tmp_path: Path) -> None:
    server = bed.record["postgres"]
    configured = drill_settings(tmp_path, server["bin_dir"], backup_path=bed.record["backups"])
    check = check_of(drill.run(configured))
    assert check["status"] == "passed" and "the server: each in a sandbox" in check["evidence"]


def test_a_sandbox_with_a_way_out_is_no_sandbox() -> None:
    """A program of this host's own network, in place of one in a sandbox."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True) as shell:
        time.sleep(0.3)
        network = sandbox_network.inspect("the application", shell.pid)
        os.killpg(shell.pid, signal.SIGKILL)
    evidence = isolation.judge_sandboxes([network], ())
    assert [one.id for one in evidence.findings][:1] == ["isolation.way_out"]
    gone = isolation.judge_sandboxes([isolation.SandboxNetwork("x", False, False)], ())
    assert gone.skipped and "x does not run" in gone.evidence


def test_a_backend_that_connects_to_production_fails(bed: Testbed, tmp_path: Path) -> None:
    """Loopback is no way out, but where production's database listens."""
    port = bed.record["postgres"]["port"]
    calls = ("127.0.0.1", str(port), "itself")
    check = check_of(drill.run(settings(bed, tmp_path, *calls, sandbox=False)))
    assert check["status"] == "failed", check
    assert "was connected to production: 127.0.0.1" in check["findings"][0]["text"]


def test_a_server_that_calls_out_fails(bed: Testbed, far: RemoteHost, tmp_path: Path) -> None:
    """Without a sandbox what the database itself does counts as well: a program that it starts."""
    configured = settings(bed, tmp_path, sandbox=False)
    try:
        assert drill.run(configured, keep=True)["verdict"] == "passed"
        server = staging.make_engine(configured.staging).find()
        assert server
        call = f"/usr/bin/python3 {tmp_path}/calls.py {far.address} {PORT} child /dev/null"
        with (
            ThreadPoolExecutor(1) as beside,
            contextlib.closing(psycopg2.connect(**server.dsn("postgres"))) as connection,
        ):
            cursor = connection.cursor()
            calling = beside.submit(cursor.execute, f"COPY (SELECT 1) TO PROGRAM '{call}'")
            time.sleep(0.5)
            check = check_of(drill.validate(configured))
            calling.result()
        assert check["status"] == "failed" and far.address in check["evidence"], check
    finally:
        drill.clean_up(configured)


def test_the_staging_server_may_be_reached(far: RemoteHost) -> None:
    """Where it is another machine, as with the engine external."""
    program = subprocess.Popen(
        [sys.executable, "-c", CALLS, far.address, str(PORT), "child", "/dev/null"]
    )
    try:
        for allowed, status in (([(far.address, PORT)], 0), ([(far.address, PORT + 1)], 1)):
            with connection_monitor.ConnectionMonitor(
                lambda: [program.pid], allowed, lambda *_end: False, 0
            ) as monitor:
                time.sleep(1)
                found = monitor.evidence([])
            assert len(found.findings) == status and not found.skipped, found
            assert "no variable is set" in found.evidence
    finally:
        program.wait()


def test_what_was_not_seen_is_not_passed() -> None:
    with connection_monitor.ConnectionMonitor(lambda: [], [], lambda *_end: False, 0) as monitor:
        found = monitor.evidence([])
    assert found.skipped and "could not be read" in found.evidence


CALLS_FROM_SQL = """CREATE FUNCTION public.calls() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
COPY (SELECT 1) TO PROGRAM 'bash -c "exec 3<>/dev/tcp/{address}/{port}; sleep 2"';
RETURN 'called'; END $$"""


@pytest.mark.parametrize("calls", [False, True], ids=["silent", "a backup that calls out"])
def test_the_sessions_of_an_external_server_of_this_host(
    far: RemoteHost, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, calls: bool
) -> None:
    """Without an application; a client that is connected to the server is no way out."""
    backup = tmp_path / "shop_20251120_030000.dump"
    with production.alone(tmp_path_factory.mktemp("other")) as made:
        with contextlib.closing(made.connect("postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute(CALLS_FROM_SQL.format(address=far.address, port=PORT))
            connection.cursor().execute("CREATE TABLE goods AS SELECT 1 AS id")
        access = {name: made.settings[name] for name in ("host", "port", "user", "password")}
        dump = [str(Path(made.settings["bin_dir"]) / "pg_dump"), "-Fc", f"--file={backup}"]
        where = ["-h", access["host"], "-p", str(access["port"]), "-U", access["user"], "postgres"]
        subprocess.run([*dump, *where], env={"PGPASSWORD": access["password"]}, check=True)
        configured = drill_settings(
            tmp_path,
            made.settings["bin_dir"],
            staging={"engine": "external", "external": staging.ExternalSettings(**access)},
        )
        query = {"name": "calls", "sql": "SELECT public.calls()" if calls else "SELECT 1"}
        validation = dataclasses.replace(configured.validation, queries=(query,))
        result = drill.run(dataclasses.replace(configured, validation=validation), path=str(backup))
    check = check_of(result)
    assert "its user may run programs on it" in check["evidence"], check
    assert "sessions on this host were read as well" in check["evidence"], check
    if calls:
        assert (result["verdict"], check["status"]) == ("could_not_verify", "failed"), result
        assert check["findings"][0]["subject"] == f"{far.address}:{PORT}"
    else:
        assert (result["verdict"], check["status"]) == ("passed", "passed"), result


def test_an_external_server_elsewhere_is_named_as_unseen() -> None:
    """Its process is another host's, or a container's: the number is that of another program."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())

        class Session:
            """As psycopg2's connection to a server whose process numbers are another host's."""

            class info:
                backend_pid = os.getpid()

            @staticmethod
            def fileno() -> int:
                return client.fileno()

        assert shared_server.own_process(Session()) is None
        client.send(b"the socket is still open")
        client.close()
