"""The engine and the images that all the other tests here stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest
from docker_lab import Engine, images, needs
from docker_lab.engine import ELSEWHERE
from docker_lab.shared_folder import MARK, SharedFolder
from testbed.engine import ResilienceError

ROOT = Path(__file__).resolve().parents[2]


def seen_outside(engine: Engine) -> dict[str, object]:
    """What this engine could leave behind on this machine, on which other tests run beside it: they
    have cables to far hosts (`cw...`), and an engine with a group of its own."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return {
        "links": sorted(
            name
            for line in links.splitlines()
            if not (name := line.split(":")[1].split("@")[0].strip()).startswith("cw")
        ),
        "rules": [line for line in rules.splitlines() if not line.startswith(("#", ":"))],
        "mounts": len(Path("/proc/mounts").read_text().splitlines()),
        "elsewhere": [path for path in ELSEWHERE if SharedFolder(path).left()],
        "groups": sorted(map(str, Path("/sys/fs/cgroup").glob(f"*/{engine.cgroup}*"))),
    }


def holding(root: Path) -> list[int]:
    """Processes that name a folder in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(root).encode() in words:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_an_engine_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    root = tmp_path / "lab"
    needs.install(print)
    before = seen_outside(Engine(root.resolve()))
    with Engine.up(root) as engine:
        engine.docker("network", "create", "lab-network")
        assert seen_outside(engine)["links"] == before["links"]
        assert holding(root)
        with engine.network():
            inside = subprocess.run(
                ["ip", "-o", "link"], capture_output=True, text=True, check=True
            )
        assert "docker0" in inside.stdout
        if ending == "killed":
            os.kill(engine.service.pid() or 0, signal.SIGKILL)
            time.sleep(1)
            assert not engine.is_ready()
    after = seen_outside(engine)
    assert holding(root) == []
    assert after == before
    assert not engine.socket.exists()


def test_the_last_of_two_engines_removes_a_folder_that_was_made_for_them(tmp_path: Path) -> None:
    path = tmp_path / "opt" / "made"
    one, other = SharedFolder(str(path)), SharedFolder(str(path))
    one.hold()
    other.hold()
    one.release()
    assert (path / MARK).exists() and not other.left()
    other.release()
    assert not path.exists()
    # One that ended without a word leaves it to the next; and what was there before stays.
    path.mkdir()
    (path / MARK).touch()
    assert one.left()
    one.release()
    assert not path.exists()
    path.mkdir()
    one.hold()
    one.release()
    assert path.is_dir()


def test_postgres_takes_its_user_password_and_database(engine: Engine) -> None:
    variables = {"POSTGRES_USER": "ana", "POSTGRES_PASSWORD": "se'nha", "POSTGRES_DB": "loja"}
    options = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
    container = engine.docker(
        *("run", "--detach", *options, "-p", "127.0.0.1:5433:5432", "postgres:16-alpine")
    )

    def connect(password: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host="127.0.0.1", port=5433, user="ana", password=password, dbname="loja"
        )

    try:
        with engine.network():
            for _attempt in range(100):
                try:
                    connection = connect("se'nha")
                    break
                except psycopg2.OperationalError:
                    time.sleep(0.1)
            assert connection.server_version // 10000 == 16
            connection.close()
            with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
                connect("another")
    finally:
        engine.docker("rm", "--force", "--volumes", container)
    with pytest.raises(ResilienceError, match="POSTGRES_PASSWORD is not set"):
        engine.docker("run", "--rm", "postgres:16")


def test_compose_builds_the_backend_as_the_plan_does(engine: Engine, tmp_path: Path) -> None:
    images.backend_context(tmp_path / "backend")
    file = tmp_path / "compose.yml"
    file.write_text(
        "services:\n  one:\n    build: ./backend\n    network_mode: none\n"
        '    command: ["python3", "-c", "import psycopg2; print(psycopg2.apilevel)"]\n'
    )
    try:
        engine.compose("-p", "chefwell-lab-try", "-f", str(file), "build")
        printed = engine.compose("-p", "chefwell-lab-try", "-f", str(file), "run", "--rm", "one")
        assert printed.splitlines()[-1] == "2.0"
    finally:
        engine.compose("-p", "chefwell-lab-try", "-f", str(file), "down", "--rmi", "local")


def test_an_image_is_built_once(engine: Engine) -> None:
    reported: list[str] = []
    images.make(engine, report=reported.append)
    assert reported == []
    held = json.loads(engine.docker("inspect", "postgres:16", "postgres:16-alpine"))
    assert held[0]["Id"] == held[1]["Id"]
    with pytest.raises(ResilienceError, match="no such test image"):
        images.make(engine, ["postgress"])
