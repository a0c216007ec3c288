"""Stage 1 on its host, as the plan describes it."""

from __future__ import annotations

import json
from typing import Any

testinfra_hosts = ["ansible://production"]
SCRIPTS = "/root/restaurante/scripts"
LOG = "/var/log/chefwell-disk-monitor.log"


def test_the_files_of_the_plan(host: Any) -> None:
    for name in ("monitor-disk-space.sh", "disk-status.sh"):
        script = host.file(f"{SCRIPTS}/{name}")
        assert script.is_file and script.mode == 0o755 and script.user == "root"
    assert host.file("/etc/chefwell-resilience/disk.json").mode == 0o600
    assert host.file(f"{SCRIPTS}/mine.sh").exists


def test_the_monitor_is_ok_again(host: Any) -> None:
    ran = host.run(f"{SCRIPTS}/monitor-disk-space.sh --json")
    (srv,) = [one for one in json.loads(ran.stdout)["targets"] if one["path"] == "/srv"]
    assert srv["level"] == "ok"


def test_the_log_has_the_critical_level_of_srv(host: Any) -> None:
    lines = host.file(LOG).content_string.splitlines()
    assert [line for line in lines if 'path="/srv"' in line and 'level="critical"' in line], lines


def test_the_dashboard_counts_the_backups(host: Any) -> None:
    page = host.run(f"{SCRIPTS}/disk-status.sh").stdout
    for line in ("CHEFWELL - DISK SPACE MONITOR", "Daily: 7", "Weekly: 4", "Monthly: 3"):
        assert line in page, page


def test_cron_has_one_line_of_the_stage_beside_the_users_own(host: Any) -> None:
    lines = [line for line in host.check_output("crontab -l").splitlines() if line[:1] != "#"]
    assert lines == [
        f"7 3 * * * {SCRIPTS}/mine.sh",
        f"0 */6 * * * {SCRIPTS}/monitor-disk-space.sh",
    ]
    assert host.process.filter(comm="cron")


def test_the_log_is_rotated(host: Any) -> None:
    rule = host.file("/etc/logrotate.d/chefwell-disk-monitor")
    assert rule.contains(LOG) and rule.mode == 0o644
