"""A host with stage 3 installed on it, whose staging runs in the tests' own Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from testbed import Testbed

from . import images, needs
from .engine import Engine

ROOT = Path(__file__).resolve().parents[2]

from support.play_host import PlayHost

PLAYBOOK = "stage3_staging_restore.yml"
COMPOSE = "docker-compose.staging.yml"
PORT, BACKEND_PORT = 5433, 3001
# A program that connects to all its arguments at once, and prints a line for each.
REACH = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def reach(place):
    address, port = place.rsplit(":", 1)
    try:
        socket.create_connection((address, int(port)), 2).close()
        return place + " answered"
    except OSError as error:
        return place + " no: " + str(error)
with ThreadPoolExecutor(32) as pool:
    print(*pool.map(reach, sys.argv[1:]), sep=chr(10))
"""


class DockerHost(PlayHost):
    """A host whose playbooks and commands run in the network of a Docker engine."""

    engine: Engine

    @classmethod
    def installed(cls, engine: Engine, bed: Testbed, root: Path, **variables: object) -> DockerHost:
        """A host on which the play has installed stage 3, for the backups of a testbed."""
        images.backend_context(root / "backend")
        made = cls(
            root,
            staging_restore_backup_path=bed.record["backups"],
            staging_restore_backend_env={"MAIL": "off", "COST": "R$ 5 'é' \"ok\""},
            staging_restore_forwarder_image="chefwell-test/base:1",
            staging_restore_docker_host=f"unix://{engine.socket}",
            staging_restore_compose_command=[str(needs.compose_plugin(engine.cache))],
            staging_restore_memory="512m",
            staging_restore_api_users=bed.record["users"],
            **variables,
        )
        made.engine = engine
        assert made.play(PLAYBOOK)["changed"] > 0
        return made

    def run(self, playbook: str, *arguments: str, **more: object) -> Any:
        # The folder in which `docker` finds compose, which Ansible's module needs.
        plugins = self.root / "docker" / "cli-plugins"
        if not plugins.is_dir():
            plugins.mkdir(parents=True)
            (plugins / "docker-compose").symlink_to(needs.compose_plugin(self.engine.cache))
        with self.engine.network(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_CONFIG", str(plugins.parent))
            return super().run(playbook, *arguments, **more)

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.engine.network():
            return super().command(name, *arguments)

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the plan, as a person types it on the host."""
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        typed = folder / "docker-compose"
        if not typed.exists():
            typed.symlink_to(needs.compose_plugin(self.engine.cache))
        environment = {**self.engine.environment, "PATH": f"{folder}:{os.environ['PATH']}"}
        with self.engine.network():
            return subprocess.run(
                ["bash", "-c", script],
                capture_output=True,
                text=True,
                env=environment,
                check=False,
            )


def labelled(host: DockerHost) -> dict[str, list[str]]:
    """The containers, networks and volumes with the collection's label."""
    label = "label=pro.chefwell.resilience.staging"
    return {
        kind: host.engine.docker(
            *(kind, "ls", *(["--all"] if kind == "container" else []), "--filter", label, "-q")
        ).split()
        for kind in ("container", "network", "volume")
    }


def result(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The result that a command with `--json` printed."""
    assert ended.stdout, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found
