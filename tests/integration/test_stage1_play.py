"""Stage 1 as a user runs it: the playbook, the commands it installs, and its rollback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def crontab() -> str:
    return subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout


class Host:
    """This machine, with every path of the plan moved under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scripts = root / "scripts"
        self.backups = root / "backups"
        self.log = root / "disk-monitor.log"
        for tier in ("daily", "weekly", "monthly"):
            (self.backups / tier).mkdir(parents=True)
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
            "disk_monitor_paths": [str(root)],
            "disk_monitor_backup_path": str(self.backups),
            "disk_monitor_log_file": str(self.log),
        }

    def play(self, playbook: str, **more: object) -> dict[str, int]:
        """Runs a playbook and returns its recap; a failed play fails the test."""
        run = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,",
                "-e",
                json.dumps({**self.variables, **more}),
                str(ROOT / "playbooks" / playbook),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
            },
        )
        assert run.returncode == 0, run.stdout + run.stderr
        recap = re.search(r"^localhost +: (.*)$", run.stdout, re.MULTILINE)
        assert recap, run.stdout
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", recap[1])}

    def command(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs an installed command as cron would: no PATH, no locale."""
        return subprocess.run(
            [str(self.scripts / f"{name}.sh"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={},
        )


@pytest.fixture
def host(tmp_path: Path):
    made = Host(tmp_path)
    before = crontab()
    yield made
    made.play("rollback_stage1.yml")
    assert crontab().strip() == before.strip()


def test_converges_runs_and_rolls_back(host: Host) -> None:
    first = host.play("stage1_disk_monitor.yml")
    assert first["changed"] > 0
    second = host.play("stage1_disk_monitor.yml")
    assert second["changed"] == 0
    assert second["ok"] >= 7

    monitor = host.command("monitor-disk-space", "--json")
    result = json.loads(monitor.stdout)
    assert monitor.returncode == {"ok": 0, "warning": 1}.get(result["level"], 2)
    lines = host.log.read_text().splitlines()
    # Twice by the stage's own tests, and once here.
    assert len(lines) / 3 == len(result["targets"]) == 2
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* path=", lines[0])

    (line,) = [entry for entry in crontab().splitlines() if "monitor-disk-space" in entry]
    assert line == f"0 */6 * * * {host.scripts}/monitor-disk-space.sh"

    host.play("rollback_stage1.yml")
    assert not host.log.exists()
    assert not (host.scripts / "monitor-disk-space.sh").exists()
    assert "monitor-disk-space" not in crontab()
    assert host.play("rollback_stage1.yml")["changed"] == 0


def test_levels_follow_the_thresholds(host: Host) -> None:
    host.play(
        "stage1_disk_monitor.yml",
        disk_monitor_warning=0.0001,
        disk_monitor_critical=0.0002,
        disk_monitor_emergency=0.0003,
    )
    monitor = host.command("monitor-disk-space", "--json")
    assert monitor.returncode == 2
    assert json.loads(monitor.stdout)["level"] == "emergency"


def test_a_vanished_path_is_unknown_never_ok(host: Host) -> None:
    gone = {"disk_monitor_paths": [str(host.root / "gone")], "disk_monitor_check_now": False}
    host.play("stage1_disk_monitor.yml", **gone)
    monitor = host.command("monitor-disk-space", "--json")
    assert monitor.returncode == 3
    assert json.loads(monitor.stdout)["targets"][0]["level"] == "unknown"


def test_thresholds_out_of_order_are_refused_and_named(host: Host) -> None:
    host.play("stage1_disk_monitor.yml", disk_monitor_warning=95, disk_monitor_check_now=False)
    monitor = host.command("monitor-disk-space")
    assert monitor.returncode == 3
    assert "warning" in monitor.stderr and "95" in monitor.stderr


def test_the_dashboard_counts_the_backups(host: Host) -> None:
    host.play("stage1_disk_monitor.yml")
    (host.backups / "daily" / "chefwell_backup_20251120_030000.dump.gz").write_bytes(b"x" * 2048)
    status = host.command("disk-status", "--json")
    assert json.loads(status.stdout)["backups"]["tiers"]["daily"]["count"] == 1
    page = host.command("disk-status").stdout
    assert "CHEFWELL - DISK SPACE MONITOR" in page
    assert "Daily: 1 backup" in page
