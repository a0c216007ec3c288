"""Staging in Docker at its ends: neighbours and names shut out, engines that end, kills, pauses."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docker_lab import Engine
from docker_lab.staging_host import BACKEND_PORT, PORT, REACH, DockerHost, labelled, result
from testbed import Testbed
from testbed.engine import ResilienceError

NOTHING: dict[str, list[str]] = {"container": [], "network": [], "volume": []}
SERVER = "chefwell-staging-postgres_staging-1"
NETWORKS = ("chefwell-staging_staging_network", "chefwell-staging_staging_loopback")


@pytest.fixture(scope="module")
def host(
    engine: Engine, bed: Testbed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerHost]:
    root = tmp_path_factory.mktemp("host")
    made = DockerHost.installed(engine, bed, root, staging_restore_drill_now=False)
    yield made
    made.play("rollback_stage3.yml")


@pytest.fixture(scope="module")
def kept(host: DockerHost) -> DockerHost:
    """A host with a restored staging that is kept for people."""
    assert host.command("setup-staging").returncode == 0
    assert host.command("test-restore-staging").returncode == 0
    return host


@contextlib.contextmanager
def neighbour(engine: Engine) -> Iterator[list[str]]:
    """A machine on a cable to the engine's, with routes through it; yields how to run there."""
    sleeper = subprocess.Popen(
        engine.within("unshare", "--net", "sleep", "600"), start_new_session=True
    )
    inside = ["nsenter", "--net", f"--target={sleeper.pid}"]
    try:
        time.sleep(0.5)
        lines = [
            "ip link add beside type veth peer name cable",
            "ip addr add 203.0.113.1/24 dev beside",
            "ip link set beside up",
            f"ip link set cable netns {sleeper.pid}",
        ]
        subprocess.run(engine.within("sh", "-ec", "; ".join(lines)), check=True)
        lines = [
            "ip link set lo up",
            "ip addr add 203.0.113.7/24 dev cable",
            "ip link set cable up",
            "ip route add 172.16.0.0/12 via 203.0.113.1",
            "ip route add 192.168.0.0/16 via 203.0.113.1",
        ]
        subprocess.run([*inside, "sh", "-ec", "; ".join(lines)], check=True)
        yield inside
    finally:
        os.killpg(sleeper.pid, signal.SIGKILL)
        sleeper.wait()
        subprocess.run(engine.within("ip", "link", "del", "beside"), check=False)


def addresses(engine: Engine, network: str) -> list[str]:
    shown = engine.docker("network", "inspect", network)
    return [
        one["IPv4Address"].partition("/")[0] for one in json.loads(shown)[0]["Containers"].values()
    ]


def test_a_neighbour_reaches_no_port(kept: DockerHost) -> None:
    """It has a route through this host; a port that Docker publishes otherwise is reached so."""
    engine = kept.engine
    engine.docker(
        *("run", "--detach", "--name", "published", "--publish", "127.0.0.1:7777:5432"),
        *("chefwell-test/base:1", "python3", "-m", "http.server", "5432"),
    )
    shown = "{{.NetworkSettings.IPAddress}}"
    compared = engine.docker("inspect", "--format", shown, "published")
    places = [
        f"{address}:{port}"
        for network in NETWORKS
        for address in addresses(engine, network)
        for port in (5432, BACKEND_PORT)
    ]
    places += [f"203.0.113.1:{port}" for port in (PORT, BACKEND_PORT)]
    assert len(places) >= 8
    try:
        with neighbour(engine) as inside:
            run = [*inside, sys.executable, "-c", REACH, f"{compared}:5432", *places]
            reached = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    finally:
        engine.docker("rm", "--force", "published")
    answered = [line for line in reached.splitlines() if line.endswith("answered")]
    assert answered == [f"{compared}:5432 answered"], reached
    # And loopback is as it was.
    local = kept.sh(f"{sys.executable} -c '{REACH}' 127.0.0.1:{PORT} 127.0.0.1:{BACKEND_PORT}")
    assert local.stdout.count("answered") == 2, local


class NameServer:
    """A name server on all addresses of the engine's network, which counts the queries to it."""

    def __init__(self, engine: Engine) -> None:
        self.queries: list[bytes] = []
        with engine.network():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("0.0.0.0", 53))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.socket.recvfrom(4096)
                self.queries.append(query)
                # No such name (RFC 1035): the header with the bits of a response, and the query.
                header = query[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0)
                self.socket.sendto(header + query[12:], peer)


LOOK_UP = "import socket; socket.getaddrinfo('what-the-backup-holds.example.com', 80)"


def test_no_name_server_is_queried(kept: DockerHost) -> None:
    """Neither this host's nor another; the names within staging are found."""
    engine = kept.engine
    server = NameServer(engine)
    try:
        compared = ["run", "--rm", "--dns", engine.bridge(), "chefwell-test/base:1"]
        with contextlib.suppress(ResilienceError):
            engine.docker(*compared, "python3", "-c", LOOK_UP)
        assert server.queries, "the name server of the test gets no query at all"
        server.queries.clear()
        services = ("postgres", "backend", "forward")
        containers = [f"chefwell-staging-{service}_staging-1" for service in services]

        def look_up(container: str) -> None:
            with contextlib.suppress(ResilienceError):
                engine.docker("exec", container, "python3", "-c", LOOK_UP)

        # At once: the programs wait until the name server's silence is long enough for them.
        with ThreadPoolExecutor() as pool:
            list(pool.map(look_up, containers))
        for container in containers:
            found = "import socket; print(socket.gethostbyname('postgres_staging'))"
            assert engine.docker("exec", container, "python3", "-c", found).count(".") == 3
        assert server.queries == []
        report = result(kept.command("validate-staging", "--json"))
        (check,) = [one for one in report["checks"] if one["id"] == "isolation"]
        assert check["status"] == "passed", check
    finally:
        server.socket.close()


def test_a_paused_staging_is_not_removed(kept: DockerHost) -> None:
    engine = kept.engine
    volumes = engine.docker("volume", "ls", "--quiet")
    started = engine.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", SERVER)
    engine.docker("pause", SERVER)
    try:
        drill = result(kept.command("test-restore-staging", "--json"))
        assert drill["verdict"] == "could_not_verify", drill
        assert "does not respond" in drill["problem"] and "unpause" in drill["problem"], drill
        again = kept.command("setup-staging")
        assert again.returncode == 3 and "não responde" in again.stderr, again
    finally:
        engine.docker("unpause", SERVER)
    now = engine.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", SERVER)
    assert (now, engine.docker("volume", "ls", "--quiet")) == (started, volumes)
    assert result(kept.command("validate-staging", "--json"))["verdict"] == "passed"


def running(host: DockerHost, command: str, *arguments: str) -> subprocess.Popen[str]:
    with host.engine.network():
        return subprocess.Popen(
            [str(host.scripts / f"{command}.sh"), "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={},
            start_new_session=True,
        )


def test_a_clean_up_that_was_killed(kept: DockerHost) -> None:
    """Its removals are in progress still."""
    for moment in (0.3, 0.5, 0.7):
        with running(kept, "cleanup-staging") as started:
            time.sleep(moment)
            started.kill()
            started.wait()
    cleaned = kept.command("cleanup-staging", "--json")
    assert cleaned.returncode == 0, cleaned.stderr
    assert labelled(kept) == NOTHING


def test_a_guest_in_stagings_network(host: DockerHost) -> None:
    """Somebody's container is in it: the data goes all the same, the guest stays and is named."""
    assert host.command("setup-staging").returncode == 0
    engine = host.engine
    network = NETWORKS[0]
    engine.docker(
        *("run", "--detach", "--name", "guest", "--network", network),
        *("chefwell-test/base:1", "sleep", "600"),
    )
    try:
        cleaned = host.command("cleanup-staging", "--json")
        assert network in cleaned.stdout + cleaned.stderr, cleaned
        assert "Traceback" not in cleaned.stderr
        left = labelled(host)
        assert left["container"] == left["volume"] == [] and left["network"] != [], left
        assert engine.docker("inspect", "--format", "{{.State.Running}}", "guest").strip() == "true"
        # The staging was set up for people, and stands again after a drill.
        drill = result(host.command("test-restore-staging", "--json"))
        assert drill["verdict"] == "passed", drill
    finally:
        engine.docker("rm", "--force", "guest")
    assert host.command("cleanup-staging", "--json").returncode == 0
    assert labelled(host) == NOTHING


@pytest.mark.parametrize("moment", [1.0, 1.8])
def test_killed_and_the_next_command_at_once(host: DockerHost, moment: float) -> None:
    """What a killed drill started goes on without it, and makes nothing after the clean-up."""
    with running(host, "test-restore-staging") as started:
        time.sleep(moment)
        started.kill()
        started.wait()
        cleaned = host.command("cleanup-staging", "--json")
    assert cleaned.returncode == 0, cleaned.stderr
    time.sleep(1)
    assert labelled(host) == NOTHING


def volumes(engine: Engine) -> list[str]:
    return engine.docker("volume", "ls", "--quiet").split()


def test_an_engine_that_ends_while_the_backup_is_restored(
    engine: Engine, host: DockerHost, bed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is not the backup's, and nothing is left that nobody knows as staging's."""
    with contextlib.closing(bed.connect()) as connection:
        connection.autocommit = True
        connection.cursor().execute(
            "CREATE TABLE public.bulk AS SELECT n, repeat(md5(n::text), 20) AS text"
            " FROM generate_series(1, 90000) n"
        )
    backup = bed.back_up()
    before = volumes(engine)
    try:
        with running(host, "test-restore-staging", "--backup", str(backup)) as started:
            deadline = time.monotonic() + 60
            while not restoring(engine):
                assert time.monotonic() < deadline and started.poll() is None
            # As a power failure: the kernel ends the engine and all its containers.
            first = engine.service.process()
            assert first
            for one in first.children():
                one.kill()
            output, errors = started.communicate(timeout=180)
        drill: dict[str, Any] = json.loads(output)
        assert drill["verdict"] == "could_not_verify", (drill, errors)
        assert "Traceback" not in errors
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "empty", lambda self: None)
            engine.service.stop([signal.SIGKILL])
            engine.start()
        cleaned = host.command("cleanup-staging", "--json")
        assert cleaned.returncode == 0, cleaned.stderr
        assert labelled(host) == NOTHING
        assert sorted(volumes(engine)) == sorted(before)
    finally:
        backup.unlink()
        with contextlib.closing(bed.connect()) as connection:
            connection.autocommit = True
            connection.cursor().execute("DROP TABLE public.bulk")
    assert result(host.command("test-restore-staging", "--json"))["verdict"] == "passed"


def restoring(engine: Engine) -> bool:
    """Whether a container restores now: the newest that is no service of the project."""
    shown = engine.docker("ps", "--no-trunc", "--format", "{{.Names}} {{.Command}}")
    return any("pg_restore" in line and "--jobs" in line for line in shown.splitlines())
