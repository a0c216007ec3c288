"""Production on a Swarm is lost for real, and the playbook brings it back, services and all."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_lab import Engine
from docker_lab.swarm import REPLICAS, Swarm

ROOT = Path(__file__).resolve().parents[2]

from support.play_host import PlayHost

HOST = socket.gethostname()


class SwarmHost(PlayHost):
    """The node of the Swarm, on which its services are published."""

    engine: Engine

    def run(self, playbook: str, *arguments: str, **more: object) -> Any:
        with self.engine.network():
            return super().run(playbook, *arguments, **more)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.engine.network():
            return super().command(name, *arguments)


@pytest.fixture(scope="module")
def host(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmHost]:
    root = tmp_path_factory.mktemp("node")
    daily = root / "backups" / "daily"
    daily.mkdir(parents=True)
    for tier in ("weekly", "monthly"):
        (root / "backups" / tier).mkdir()
    known = ("host", "port", "user", "password", "dbname")
    access = {name: swarm.settings[name] for name in known}
    dump = [str(swarm.programs / "pg_dump"), "-Fc", "-h", access["host"], "-U", access["user"]]
    with swarm.engine.network(), (daily / "chefwell_backup_20251120_030000.dump").open("wb") as out:
        environment = {"PGPASSWORD": access["password"]}
        subprocess.run([*dump, access["dbname"]], stdout=out, env=environment, check=True)
    scale = ["docker", "--host", f"unix://{swarm.engine.socket}", "service", "scale"]
    made = SwarmHost(
        root,
        # Nothing was installed here before: the playbook installs the commands.
        staging_restore_engine="embedded",
        staging_restore_bin_dir=swarm.settings["bin_dir"],
        staging_restore_backup_path=str(root / "backups"),
        staging_restore_runbook="",
        staging_restore_logrotate_file="",
        staging_restore_recovery={
            **access,
            "bin_dir": swarm.settings["bin_dir"],
            "stop_command": [*scale, "chefwell_backend=0"],
            "start_command": [*scale, f"chefwell_backend={REPLICAS}"],
            # The front's certificate is for its own name.
            "health_url": "https://127.0.0.1/health",
            "verify_tls": False,
            "seconds": 90,
        },
    )
    made.engine = swarm.engine
    yield made


def starts(swarm: Swarm) -> set[str]:
    """The backend's containers; one that was scaled away and back is another one."""
    return set(swarm.containers("chefwell_backend"))


def test_production_is_lost_and_the_playbook_brings_it_back(host: SwarmHost, swarm: Swarm) -> None:
    assert not host.scripts.exists()
    swarm.run_sql("DROP DATABASE restaurante WITH (FORCE)", "postgres")
    with swarm.engine.network():
        assert not swarm.healthy()
    before = starts(swarm)
    play = host.run("disaster_recovery.yml", staging_restore_recovery_confirm=HOST)
    assert play.returncode == 0, play.stdout + play.stderr
    ((rows,),) = swarm.run_sql("SELECT count(*) FROM tenant_chefwell.products", "restaurante")
    assert rows == 28
    with swarm.engine.network():
        assert swarm.healthy()
    assert swarm.replicas()["chefwell_backend"] == f"{REPLICAS}/{REPLICAS}"
    after = starts(swarm)
    print(f"\n{len(before)} containers before, {len(after)} others after")
    assert len(after) == REPLICAS and not after & before


def test_a_service_that_cannot_be_stopped_leaves_production_as_it_is(
    host: SwarmHost, swarm: Swarm, tmp_path: Path
) -> None:
    settings = json.loads((host.root / "etc" / "staging.json").read_text())
    settings["recovery"]["stop_command"][-1] = "chefwell_nobody=0"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(settings))
    before = starts(swarm)
    ended = host.command("disaster-recovery", "--confirm", HOST, "--config", str(other))
    assert ended.returncode == 3 and "chefwell_nobody" in ended.stderr, ended
    with swarm.engine.network():
        assert swarm.healthy()
    assert starts(swarm) == before
