"""Stage 1 as a user runs it: the playbook, the commands it installs, and its rollback."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history import (
    Event,
    History,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.history.history_file import FILE
from support.crontab import crontab
from support.filesystems import private_crontabs
from support.http_receiver import receiving
from support.play_host import PlayHost

PLAYBOOK, ROLLBACK = "stage1_disk_monitor.yml", "rollback_stage1.yml"


def write_crontab(text: str) -> None:
    subprocess.run(["crontab", "-"], input=text, text=True, check=True)


class Host(PlayHost):
    """This machine, with every path of the plan moved under one folder."""

    def __init__(self, root: Path) -> None:
        self.backups = root / "backups"
        self.log = root / "log" / "disk-monitor.log"
        for tier in ("daily", "weekly", "monthly"):
            (self.backups / tier).mkdir(parents=True)
        self.log.parent.mkdir()
        super().__init__(
            root,
            disk_monitor_paths=[str(root)],
            disk_monitor_discover=False,
            disk_monitor_backup_path=str(self.backups),
            disk_monitor_log_file=str(self.log),
            disk_monitor_drill_path=str(root),
        )
        self.logrotate = Path(self.variables["disk_monitor_logrotate_file"])

    def files(self) -> set[str]:
        """Every file below the root, but those of the engine and of Ansible."""
        return {
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if path.is_file() and "lib" not in path.relative_to(self.root).parts
        }


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with private_crontabs():
        yield Host(tmp_path)


def test_converges_runs_and_rolls_back(host: Host) -> None:
    own = "7 3 * * * /usr/local/bin/backup # monitor-disk-space is not this one\n"
    write_crontab(own)
    host.scripts.mkdir()
    (host.scripts / "mine.sh").write_text("#!/bin/sh\n")
    files = host.files()
    with receiving() as receiver:
        metrics = host.root / "metrics" / "chefwell.prom"
        metrics.parent.mkdir()
        more = {
            "disk_monitor_notify": [receiver.webhook],
            "disk_monitor_ping_url": receiver.check,
            "disk_monitor_metrics_file": str(metrics),
            "disk_monitor_inodes_warning": "300 left",
            "disk_monitor_inodes_critical": "200 left",
            "disk_monitor_inodes_emergency": "100 left",
        }
        host.variables |= more
        assert host.play(PLAYBOOK, "--check", "--diff")["changed"] > 0  # a fresh host
        assert host.files() == files
        assert host.play(PLAYBOOK)["changed"] > 0
        assert host.play(PLAYBOOK)["changed"] == 0

        monitor = host.command("monitor-disk-space", "--json")
        result = json.loads(monitor.stdout)
        assert monitor.returncode == {"ok": 0, "warning": 1}.get(result["level"], 2)
        assert result["problems"] == []
        # Twice by the stage's own tests, and once here.
        assert [action for action, _body in receiver.pings()] == ["/start", ""] * 3
    lines = host.log.read_text().splitlines()
    assert len(lines) / 3 == len(result["targets"]) == 2
    assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* path="\S+" level="\w+" ', lines[0])
    assert "chefwell_disk_used_bytes{" in metrics.read_text()
    check = ["/usr/sbin/logrotate", "--debug", str(host.logrotate)]
    output = subprocess.run(check, capture_output=True, text=True, check=False)
    assert output.returncode == 0 and str(host.log) in output.stderr, output.stderr

    (line,) = [entry for entry in crontab().splitlines() if "monitor-disk-space.sh" in entry]
    assert line == f"0 */6 * * * {host.scripts}/monitor-disk-space.sh"
    config = host.root / "etc" / "disk.json"
    assert config.stat().st_mode & 0o777 == 0o600
    assert json.loads(config.read_text())["inodes_warning"] == "300 left"

    (host.log.parent / f"{host.log.name}.1").write_text("rotated\n")
    host.play(ROLLBACK)
    assert host.files() == files
    assert crontab() == own
    assert host.play(ROLLBACK)["changed"] == 0


def test_the_rollback_keeps_what_is_configured_and_the_history_of_other_stages(host: Host) -> None:
    host.play(PLAYBOOK)
    host.command("monitor-disk-space")
    with History(str(host.root / "state")) as history:
        history.add_event(Event("offsite", "sync", time.time(), "ok", {}))
    host.play(ROLLBACK, disk_monitor_purge=False)
    (host.root / "etc").mkdir()
    (host.root / "etc" / "offsite.json").write_text("{}")  # another stage is there
    assert host.log.exists() and (host.root / "state" / FILE).exists()
    assert not (host.scripts / "monitor-disk-space.sh").exists()
    host.play(PLAYBOOK)
    host.play(ROLLBACK)
    assert not host.log.exists()
    # Half of it is there: a launcher whose engine is gone, and the log.
    host.log.write_text("2026-01-01T00:00:00\n")
    host.scripts.mkdir(exist_ok=True)
    launcher = host.scripts / "monitor-disk-space.sh"
    launcher.write_text(f"#!/bin/sh\nexec {host.root}/gone\n")
    launcher.chmod(0o755)
    host.play(ROLLBACK)
    assert not host.log.exists() and not launcher.exists()
    with History(str(host.root / "state")) as history:
        assert len(history.events("offsite", "sync")) == 1
        assert not history.samples(f"mount:{host.root}")


def test_a_wrong_configuration_fails_the_play_and_is_named(host: Host) -> None:
    before = crontab()
    run = host.run(PLAYBOOK, disk_monitor_warning=95)
    assert run.returncode != 0 and "not before critical" in run.stdout, run.stdout
    assert "[disk_monitor_warning=95]" in run.stdout and "Traceback" not in run.stdout
    assert crontab() == before


def test_a_library_that_cannot_be_had_is_one_message_with_the_remedy(host: Host) -> None:
    bare = host.root / "bare"
    subprocess.run(["/usr/bin/python3", "-m", "venv", str(bare)], check=True)
    run = host.run(
        PLAYBOOK,
        host_kit_python=str(bare / "bin" / "python"),
        disk_monitor_notify=["json://127.0.0.1:1/"],
    )
    assert run.returncode != 0
    assert "lacks apprise, psutil. Install apprise, python3-psutil (Debian" in run.stdout, (
        run.stdout
    )
