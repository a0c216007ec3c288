"""Stage 2 on its host and on the server, as the plan describes it."""

from __future__ import annotations

import json
from typing import Any

import testinfra

testinfra_hosts = ["ansible://production"]
SCRIPTS = "/root/restaurante/scripts"
KEY = "/root/.ssh/chefwell_backup"
LOG = "/var/log/chefwell-offsite-sync.log"
SERVER = "ssh -i {key} -o BatchMode=yes -o UserKnownHostsFile={known} backupuser@backup.server.com"


def tree(host: Any, folder: str) -> list[str]:
    """Return every backup with its digest."""
    listed = host.check_output(
        "cd %s && find daily weekly monthly -name '*.dump.gz' | sort | xargs sha256sum", folder
    )
    return list(listed.splitlines())


def server() -> Any:
    return testinfra.get_host("docker://backup-server")


def test_the_files_of_the_plan(host: Any) -> None:
    for name in ("sync-backups-offsite.sh", "verify-offsite-backups.sh", "repair-offsite.sh"):
        assert host.file(f"{SCRIPTS}/{name}").mode == 0o755
    assert host.file(KEY).mode == 0o600 and host.file(f"{KEY}.pub").exists
    assert host.file("/etc/chefwell-resilience/offsite.json").mode == 0o600


def test_the_server_holds_every_backup_by_content(host: Any) -> None:
    here, there = tree(host, "/root/backups"), tree(server(), "/backups/chefwell")
    assert len(here) == 15 and here == there


def test_both_sides_are_found_equal(host: Any) -> None:
    ran = host.run(f"{SCRIPTS}/verify-offsite-backups.sh --json")
    assert ran.rc == 0, ran.stderr
    assert json.loads(ran.stdout)["comparison"]["in_sync"] is True


def test_a_copy_that_rots_is_found(host: Any) -> None:
    one = tree(host, "/root/backups")[0].split()[1]
    path = f"/backups/chefwell/{one}"
    server().check_output("cp -p %s /tmp/sound && printf X | dd of=%s conv=notrunc", path, path)
    ran = host.run(f"{SCRIPTS}/verify-offsite-backups.sh --json")
    server().check_output("cp -p /tmp/sound %s && rm /tmp/sound", path)
    assert ran.rc == 2 and one.rpartition("/")[2] in ran.stdout, ran.stdout + ran.stderr


def test_the_key_opens_no_shell_and_deletes_nothing(host: Any) -> None:
    known = "/etc/chefwell-resilience/offsite_known_hosts"
    entered = host.run(SERVER.format(key=KEY, known=known) + " rm -rf /backups/chefwell")
    assert entered.rc != 0
    assert len(tree(server(), "/backups/chefwell")) == 15


def test_cron_has_two_lines_of_the_stage_beside_the_users_own(host: Any) -> None:
    lines = [line for line in host.check_output("crontab -l").splitlines() if line[:1] != "#"]
    assert lines == [
        f"7 3 * * * {SCRIPTS}/mine.sh",
        f"0 4 * * * {SCRIPTS}/sync-backups-offsite.sh >> {LOG} 2>&1",
        f"30 7 * * * {SCRIPTS}/verify-offsite-backups.sh >> {LOG} 2>&1",
    ]


def test_the_log_has_the_sync_of_cron(host: Any) -> None:
    assert host.file(LOG).size > 0
    assert host.file("/etc/logrotate.d/chefwell-offsite-sync").contains(LOG)
