"""The commands of stage 1 below one folder, run from a configuration file as the launchers do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.modules.stage_install import launcher

ENGINE = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file, unless it is there: a program that is open for writing cannot be run."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)


class MonitorHost:
    """A host with the commands of stage 1.

    Args:
        root: the folder for everything that they read and write.
        python: the interpreter.
        settings: keys of the configuration that differ from these defaults.
    """

    def __init__(self, root: Path, *, python: str = sys.executable, **settings: Any) -> None:
        self.root, self.python = root, python
        self.library = root / "lib"
        self.library.mkdir(exist_ok=True)
        (self.library / "chefwell_resilience").symlink_to(ENGINE)
        self.backups = root / "backups"
        for tier in ("daily", "weekly", "monthly"):
            (self.backups / tier).mkdir(parents=True, exist_ok=True)
        self.settings: dict[str, Any] = {
            "paths": [],
            "discover": False,
            "backup_path": str(self.backups),
            "log_file": str(root / "disk.log"),
            "state_dir": str(root / "state"),
            "fallback_dir": str(root / "run"),
            "drill_path": "/",
            "host_name": "web1",
            "language": "en",
            **settings,
        }
        self.config = root / "disk.json"

    def command(self, name: str, *arguments: str) -> list[str]:
        """Write the configuration and the launcher of a command; return its command line."""
        _write(self.config, json.dumps(self.settings), 0o644)
        script = self.root / f"{name}.sh"
        options = {
            "lib_dir": str(self.library),
            "python": self.python,
            "config_file": str(self.config),
        }
        _write(script, launcher(options, name), 0o755)
        return [str(script), *arguments]

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command with cron's environment: no PATH, no locale."""
        return subprocess.run(
            self.command(name, *arguments), capture_output=True, text=True, check=False, env={}
        )

    def timed(self, name: str, *arguments: str, most: float) -> subprocess.CompletedProcess[str]:
        """Run a command, as cron does, within so many seconds: all who hold its output must end."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(name, *arguments),
            capture_output=True,
            text=True,
            check=False,
            env={},
            timeout=120,
        )
        assert time.monotonic() - started < most, done
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def monitor(self) -> tuple[int, dict[str, Any]]:
        """Run the monitor; return its exit code and its result."""
        run = self.run("monitor-disk-space", "--json")
        assert run.stdout, run.stderr
        result: dict[str, Any] = json.loads(run.stdout)
        return run.returncode, result
