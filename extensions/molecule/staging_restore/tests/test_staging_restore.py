"""Stage 3 on its host, as the plan describes it, after a killed drill."""

from __future__ import annotations

import json
from typing import Any

testinfra_hosts = ["ansible://production"]
SCRIPTS = "/root/restaurante/scripts"
STATE = "/var/lib/chefwell-resilience"
LIST_STAGING = "docker {} --filter label=pro.chefwell.resilience.staging --quiet"


def staging_ids(host: Any) -> str:
    """Return the IDs of staging's objects in Docker."""
    kinds = ("ps --all", "volume ls", "network ls")
    return "".join(host.check_output(LIST_STAGING.format(kind)) for kind in kinds)


def test_the_files_of_the_plan(host: Any) -> None:
    for name in ("setup-staging", "test-restore-staging", "validate-staging", "cleanup-staging"):
        assert host.file(f"{SCRIPTS}/{name}.sh").mode == 0o755
    assert host.file("/root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md").contains("RTO")
    assert host.file("/etc/chefwell-resilience/staging.json").mode == 0o600


def test_the_newest_backup_was_proved(host: Any) -> None:
    drill = json.loads(host.file(f"{STATE}/drill.json").content_string)
    newest = host.check_output("ls /root/backups/daily | tail -n 1")
    assert (drill["verdict"], drill["backup"]["file"]) == ("passed", newest)
    assert drill["confidence"] == 100.0 and drill["failed"] == 0 and drill["skipped"] == 0
    assert drill["restore"]["engine"] == "compose"


def test_what_the_killed_drill_left_is_cleaned_up(host: Any) -> None:
    assert staging_ids(host)
    cleaned = json.loads(host.check_output(f"{SCRIPTS}/cleanup-staging.sh --json"))
    assert cleaned["removed"] and not staging_ids(host)
    for port in (5433, 3001):
        assert not host.socket(f"tcp://127.0.0.1:{port}").is_listening


def test_cron_has_the_weekly_drill_beside_the_users_own_line(host: Any) -> None:
    lines = [line for line in host.check_output("crontab -l").splitlines() if line[:1] != "#"]
    drill = f"30 5 * * 0 {SCRIPTS}/test-restore-staging.sh > /dev/null 2>&1"
    assert lines == [f"7 3 * * * {SCRIPTS}/mine.sh", drill]
