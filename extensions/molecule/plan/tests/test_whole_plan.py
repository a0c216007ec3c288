"""All three stages on the host of a Swarm, and production unharmed."""

from __future__ import annotations

import json
from typing import Any

testinfra_hosts = ["ansible://production"]
SCRIPTS = "/root/restaurante/scripts"


def test_the_system_works_item_by_item(host: Any) -> None:
    ran = host.run(f"{SCRIPTS}/checkpoint.sh --json")
    assert ran.rc == 0, ran.stdout + ran.stderr
    items = {one["id"]: one["status"] for one in json.loads(ran.stdout)["checks"]}
    named = ("login", "pos", "products", "dashboard", "logs", "postgres", "services")
    assert items == dict.fromkeys(named, "passed")


def test_every_service_has_all_its_replicas(host: Any) -> None:
    listed = host.check_output("docker service ls --format '{{.Name}} {{.Replicas}}'")
    assert sorted(listed.splitlines()) == [
        "chefwell_backend 2/2",
        "chefwell_front 1/1",
        "chefwell_postgres 1/1",
    ]


def test_the_backup_of_production_is_offsite(host: Any) -> None:
    ran = host.run(f"{SCRIPTS}/verify-offsite-backups.sh --json")
    assert ran.rc == 0, ran.stderr
    verified = json.loads(ran.stdout)
    assert verified["comparison"]["in_sync"] is True
    assert verified["remote"]["total_count"] == 15


def test_the_drill_passed_and_staging_is_gone(host: Any) -> None:
    drill = json.loads(host.file("/var/lib/chefwell-resilience/drill.json").content_string)
    assert (drill["verdict"], drill["confidence"]) == ("passed", 100.0)
    assert host.check_output("docker ps --all --quiet --filter name=staging") == ""


def test_the_scripts_of_all_stages_are_there(host: Any) -> None:
    there = host.check_output(f"ls {SCRIPTS}").split()
    for name in ("monitor-disk-space", "sync-backups-offsite", "test-restore-staging"):
        assert f"{name}.sh" in there


def test_cron_has_four_lines_of_the_stages_beside_the_users_own(host: Any) -> None:
    lines = [line for line in host.check_output("crontab -l").splitlines() if line[:1] != "#"]
    assert len(lines) == 5 and lines[0] == f"7 3 * * * {SCRIPTS}/mine.sh"
