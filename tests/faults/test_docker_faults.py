"""Faults of staging in Docker, on a real engine with real containers: D7, D9 and D10."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_lab import Engine
from docker_lab.staging_host import BACKEND_PORT, COMPOSE, PORT, DockerHost, labelled, result
from support.fault_log import Fault
from testbed import Testbed

NOTHING: dict[str, list[str]] = {"container": [], "network": [], "volume": []}
# What is production's here: names that begin and end like staging's own.
LIKE_CONTAINER, LIKE_VOLUME = "chefwell-staging-postgres_staging-10", "staging_postgres_data2"
LIKE_NETWORK = "chefwell-staging_staging_network2"


@pytest.fixture(scope="module")
def host(
    engine: Engine, bed: Testbed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerHost]:
    root = tmp_path_factory.mktemp("host")
    made = DockerHost.installed(engine, bed, root, staging_restore_drill_now=False)
    engine.docker("network", "create", LIKE_NETWORK)
    engine.docker("volume", "create", LIKE_VOLUME)
    engine.docker(
        *("run", "--detach", "--name", LIKE_CONTAINER, "--network", LIKE_NETWORK),
        *("--volume", f"{LIKE_VOLUME}:/data", "chefwell-test/base:1", "sleep", "infinity"),
    )
    yield made
    engine.docker("rm", "--force", LIKE_CONTAINER)
    engine.docker("volume", "rm", LIKE_VOLUME)
    engine.docker("network", "rm", LIKE_NETWORK)
    made.play("rollback_stage3.yml")


def drill(host: DockerHost, *arguments: str) -> tuple[int, dict[str, Any]]:
    ended = host.command("test-restore-staging", "--json", *arguments)
    return ended.returncode, result(ended)


def taken(host: DockerHost) -> str:
    """The ports of staging on which a program listens."""
    return host.sh(f"ss -Hltn | grep -E ':({PORT}|{BACKEND_PORT}) '").stdout


@pytest.mark.parametrize("port", [PORT, BACKEND_PORT])
def test_d7_a_port_of_the_containers_is_taken(fault: Fault, host: DockerHost, port: int) -> None:
    fault.cause(f"somebody listens on 127.0.0.1:{port} when the drill begins")
    with host.engine.network(), socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        code, result = drill(host)
        still = str(port) in taken(host)
    fault.see(
        f"{result['verdict']} ({code}): {result['problem'][:110]}; left: {labelled(host)};"
        f" the other program: {still}",
        holds=(code, result["verdict"]) == (3, "could_not_verify")
        and str(port) in result["problem"]
        and labelled(host) == NOTHING
        and still,
    )


def running(host: DockerHost) -> subprocess.Popen[str]:
    """A drill in a session of its own, when its server's container runs."""
    label = "label=com.docker.compose.service=postgres_staging"
    with host.engine.network():
        started = subprocess.Popen(
            [str(host.scripts / "test-restore-staging.sh"), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={},
            start_new_session=True,
            # A runner that was started in the background hands on that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    deadline = time.monotonic() + 60
    while not host.engine.docker("ps", "--quiet", "--filter", label):
        assert time.monotonic() < deadline and started.poll() is None
    return started


@pytest.mark.parametrize("what", ["container", "drill", "Ctrl-C"])
def test_d7_cut_off_in_docker(fault: Fault, host: DockerHost, what: str) -> None:
    """A drill that was killed cannot tidy up itself, so cleanup-staging does."""
    fault.cause(f"the {what} is killed while containers run" if what != "Ctrl-C" else "Ctrl-C")
    with running(host) as started:
        if what == "container":
            label = "label=com.docker.compose.service=postgres_staging"
            host.engine.docker("kill", *host.engine.docker("ps", "-q", "-f", label).split())
        elif what == "drill":
            started.kill()
        else:
            os.killpg(started.pid, signal.SIGINT)
        output = started.communicate(timeout=120)[0]
    if what == "drill":
        stood = labelled(host)["container"]
        removed = result(host.command("cleanup-staging", "--json"))["removed"]
        fault.see(
            f"{len(stood)} containers stood; removed {len(removed)}; left {labelled(host)}",
            holds=bool(stood) and bool(removed) and labelled(host) == NOTHING and not taken(host),
        )
        return
    report = json.loads(output)
    kept = json.loads((host.root / "reports" / "report.json").read_text())
    fault.see(
        f"{report['verdict']}: {report['problem'][:100]}; report: {kept['verdict']};"
        f" left: {labelled(host)}",
        holds=(started.returncode, report["verdict"]) == (3, "could_not_verify")
        and kept["verdict"] == report["verdict"]
        and labelled(host) == NOTHING
        and not taken(host),
    )


@contextlib.contextmanager
def volume_of(host: DockerHost, size: str) -> Iterator[None]:
    """Staging's volume on a filesystem of this size."""
    path = host.root / "staging" / COMPOSE
    before = path.read_text()
    options = f'driver_opts: {{type: tmpfs, device: tmpfs, o: "size={size}"}}'
    end = "    labels: *labels\n\nnetworks:"
    path.write_text(before.replace(end, f"    {options}\n{end}"))
    assert path.read_text() != before
    try:
        yield
    finally:
        path.write_text(before)


def test_d7_the_volume_fills_up(fault: Fault, host: DockerHost, bed: Testbed) -> None:
    noise = "(SELECT string_agg(md5(n::text || k), '') FROM generate_series(1, 40) k)"
    bulk = f"CREATE TABLE public.bulk AS SELECT n, {noise} FROM generate_series(1, 40000) n"
    with another(bed, bulk) as dump:
        fault.cause(f"a volume of 80 MiB for a backup of {dump.stat().st_size >> 20} MiB, packed")
        with volume_of(host, "80m"):
            code, result = drill(host, "--backup", str(dump))
    evidence = " ".join(str(one["evidence"]) for one in result["checks"])
    texts = f"{result['problem'] or ''} {evidence}"
    fault.see(
        f"{result['verdict']} ({code}): {texts[:160]}; left: {labelled(host)}",
        holds=result["verdict"] == "could_not_verify"
        and "No space left on device" in texts
        and labelled(host) == NOTHING,
    )


@contextlib.contextmanager
def another(bed: Testbed, *statements: str) -> Iterator[Path]:
    """A dump of what the newest backup holds after these statements, from a copy of its own."""
    server = bed.record["postgres"]
    path = Path(bed.root) / "another.dump"
    env = {"PGPASSWORD": server["password"], "PATH": os.defpath}
    where = [
        *(f"--host={server['host']}", f"--port={server['port']}", f"--username={server['user']}"),
        "--dbname=another",
    ]
    newest = max(Path(bed.record["backups"]).glob("daily/*.gz"))

    def run(program: str, *arguments: str, fed: bytes | None = None) -> None:
        command = [f"{server['bin_dir']}/{program}", *where, *arguments]
        subprocess.run(command, env=env, input=fed, check=True)

    with contextlib.closing(bed.connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE another TEMPLATE template0")
            try:
                run("pg_restore", "--no-owner", fed=gzip.decompress(newest.read_bytes()))
                run("psql", *(f"--command={statement}" for statement in statements))
                run("pg_dump", "-Fc", f"--file={path}")
                yield path
            finally:
                cursor.execute("DROP DATABASE another WITH (FORCE)")
                path.unlink(missing_ok=True)


def foreign_objects(host: DockerHost) -> str:
    """Production's container, volume and network, as Docker knows them."""
    shown = "{{.Id}} {{.State.StartedAt}} {{.State.Running}}"
    docker = host.engine.docker
    return " ".join(
        (
            docker("inspect", "--format", shown, LIKE_CONTAINER),
            docker("volume", "inspect", "--format", "{{.Name}} {{.CreatedAt}}", LIKE_VOLUME),
            docker("network", "inspect", "--format", "{{.Id}}", LIKE_NETWORK),
        )
    )


def test_d9_clean_up_beside_containers_of_like_names(fault: Fault, host: DockerHost) -> None:
    before, reported = foreign_objects(host), []
    fault.cause(
        f"clean-up twice beside {LIKE_CONTAINER}, {LIKE_VOLUME} and {LIKE_NETWORK}: of nothing,"
        " of a set-up, of half a set-up that was killed"
    )
    for state in ("nothing", "a set-up", "half a set-up"):
        if state == "a set-up":
            assert host.command("setup-staging").returncode == 0
        elif state == "half a set-up":
            with running_setup(host) as started:
                started.kill()
                started.wait()
        first = result(host.command("cleanup-staging", "--json"))["removed"]
        again = result(host.command("cleanup-staging", "--json"))["removed"]
        if again or labelled(host) != NOTHING or taken(host) or (not first) != (state == "nothing"):
            reported.append(f"{state}: {first}, {again}, {labelled(host)}")
    fault.see(
        f"3 states, wrong: {reported or 'none'}; production as before: "
        f"{foreign_objects(host) == before}",
        holds=not reported and foreign_objects(host) == before,
    )


def running_setup(host: DockerHost) -> subprocess.Popen[bytes]:
    """A set-up of which something stands already."""
    with host.engine.network():
        started = subprocess.Popen([str(host.scripts / "setup-staging.sh")], env={})
    deadline = time.monotonic() + 60
    while not labelled(host)["network"]:
        assert time.monotonic() < deadline and started.poll() is None
    return started


def test_d9_a_volume_of_another_program(fault: Fault, host: DockerHost) -> None:
    fault.cause("a volume of the very name of staging's, and not its own")
    host.engine.docker("volume", "create", "staging_postgres_data")
    try:
        code, result = drill(host)
        there = "staging_postgres_data" in host.engine.docker("volume", "ls", "-q").split()
        fault.see(
            f"{result['verdict']} ({code}): {result['problem'][:90]}; still there: {there}",
            holds=result["verdict"] == "could_not_verify"
            and "this staging did not make it" in result["problem"]
            and there,
        )
    finally:
        host.engine.docker("volume", "rm", "staging_postgres_data")


@pytest.mark.parametrize("whose", ["another program", "a second installation"])
def test_d9_a_compose_project_of_our_name(fault: Fault, host: DockerHost, whose: str) -> None:
    """By every name it is staging's; the label alone is missing, or names another work folder."""
    fault.cause(f"the project, service and container of staging's names belong to {whose}")
    docker, name = host.engine.docker, "chefwell-staging-postgres_staging-1"
    labels = ["com.docker.compose.project=chefwell-staging"]
    labels += ["com.docker.compose.service=postgres_staging"]
    if whose == "a second installation":
        labels += ["pro.chefwell.resilience.staging=/srv/second/staging"]
        labels += [f"pro.chefwell.resilience.expires={int(time.time()) + 3600}"]
    given = [word for label in labels for word in ("--label", label)]
    docker("run", "--detach", "--name", name, *given, "chefwell-test/base:1", "sleep", "infinity")
    shown = ("inspect", "--format", "{{.Id}} {{.State.StartedAt}} {{.State.Running}}", name)
    try:
        before = docker(*shown)
        code, drilled = drill(host)
        removed = result(host.command("cleanup-staging", "--json"))["removed"]
        fault.see(
            f"{drilled['verdict']} ({code}): {str(drilled['problem'])[:90]};"
            f" removed {removed}; as before: {docker(*shown) == before}",
            holds=(code, drilled["verdict"], removed) == (3, "could_not_verify", [])
            and f"this staging did not make {name}" in drilled["problem"]
            and docker(*shown) == before,
        )
    finally:
        docker("rm", "--force", name)


class Listener:
    """Listens on all addresses of the engine's network, as production on this host would."""

    def __init__(self, host: DockerHost) -> None:
        self.heard = 0
        with host.engine.network():
            self.socket = socket.socket()
            self.socket.bind(("0.0.0.0", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.socket.accept()[0].close()
                self.heard += 1


def test_d10_hostile_content_finds_no_way_out(fault: Fault, host: DockerHost, bed: Testbed) -> None:
    """A view that runs a program in the server when it is looked at, and the drill looks at it."""
    listener = Listener(host)
    gateway = host.engine.bridge()
    places = [gateway, *(f"172.{number}.0.1" for number in (18, 19, 20)), "203.0.113.7"]
    reach = (
        "import socket, sys"
        "\nfor place in sys.argv[2:]:"
        "\n    try: socket.create_connection((place, int(sys.argv[1])), 1).close()"
        "\n    except OSError: pass"
    )
    host.engine.docker(
        *("run", "--rm", "chefwell-test/base:1", "python3", "-c", reach),
        *(str(listener.port), gateway),
    )
    heard_of_any_container = listener.heard
    packed = base64.b64encode(reach.encode()).decode()
    program = (
        f"python3 -c \"import base64; exec(base64.b64decode('{packed}'))\""
        f" {listener.port} {' '.join(places)}"
    )
    hostile = (
        "CREATE FUNCTION public.reach() RETURNS integer LANGUAGE plpgsql AS $f$BEGIN"
        f" EXECUTE $e$COPY (SELECT 1) TO PROGRAM $p${program}$p$$e$; RETURN 1; END$f$"
    )
    with another(bed, hostile, 'CREATE VIEW public."<b>; DROP" AS SELECT public.reach()') as dump:
        fault.cause("a view whose function runs a program that tries to reach this host")
        code, result = drill(host, "--backup", str(dump))
    views = next(one for one in result["checks"] if one["id"] == "views")
    fault.see(
        f"{result['verdict']} ({code}), views: {views['evidence'][:120]}; connections: "
        f"{listener.heard - heard_of_any_container}, of a container outside: "
        f"{heard_of_any_container}",
        holds=result["verdict"] == "passed"
        and heard_of_any_container == 1
        and listener.heard == heard_of_any_container,
    )
    listener.socket.close()
