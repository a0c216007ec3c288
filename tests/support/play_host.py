"""This machine as a production host, with every path of the plan moved under one folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class PlayHost:
    """A host that playbooks are run against, and whose commands are run as cron would.

    Args:
        root: the folder.
        variables: beside those of the kit.
    """

    def __init__(self, root: Path, **variables: object) -> None:
        self.root = root
        self.scripts = root / "scripts"
        self.variables = {
            "resilience_hosts": "localhost",
            "resilience_become": False,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "host_kit_python": sys.executable,
            "host_kit_lib_dir": str(root / "lib"),
            "host_kit_config_dir": str(root / "etc"),
            "host_kit_state_dir": str(root / "state"),
            "host_kit_scripts_dir": str(self.scripts),
            "disk_monitor_logrotate_file": str(root / "logrotate.d" / "disk-monitor"),
            "disk_monitor_fallback_dir": str(root / "run"),
            **variables,
        }

    def run(
        self,
        playbook: str,
        *arguments: str,
        collections: Path = ROOT / "build" / "collections",
        **more: object,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a playbook: by file name from the checkout, or by full name as installed."""
        path = str(ROOT / "playbooks" / playbook) if playbook.endswith(".yml") else playbook
        return subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,",
                "-e",
                json.dumps({**self.variables, **more}),
                *arguments,
                path,
            ],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(collections),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "LC_ALL": "C.UTF-8",
            },
        )

    def play(self, playbook: str, *arguments: str, **more: object) -> dict[str, int]:
        """Runs a playbook and returns its recap; a failed play fails the test."""
        run = self.run(playbook, *arguments, **more)
        assert run.returncode == 0, run.stdout + run.stderr
        recap = re.search(r"^localhost +: (.*)$", run.stdout, re.MULTILINE)
        assert recap, run.stdout
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs an installed command with cron's environment: no PATH, no locale."""
        return subprocess.run(
            [str(self.scripts / f"{name}.sh"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={},
        )
