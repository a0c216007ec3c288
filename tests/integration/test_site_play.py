"""The whole plan in its order: a stage that fails stops the next one, and the earlier one stays."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.play_host import PlayHost


def test_a_failed_stage_stops_the_next(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    for tier in ("daily", "weekly", "monthly"):
        (backups / tier).mkdir(parents=True)
    key = tmp_path / "somebody"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    host = PlayHost(
        tmp_path,
        disk_monitor_paths=[str(tmp_path)],
        disk_monitor_backup_path=str(backups),
        disk_monitor_cron_enabled=False,
        offsite_backup_backup_path=str(backups),
        resilience_offsite={
            "host": "127.0.0.1",
            "port": 1,
            "user": "nobody",
            "path": "/nowhere",
            "host_key": key.with_suffix(".pub").read_text(),
        },
        offsite_backup_cron_enabled=False,
    )
    run = host.run("site.yml")
    assert run.returncode != 0
    assert "nothing listens on that port" in run.stdout
    assert "Restore the newest backup" not in run.stdout
    assert (host.scripts / "disk-status.sh").exists()
    assert not (host.scripts / "test-restore-staging.sh").exists()
    assert not (tmp_path / "staging").exists()

    host.play("rollback_stage2.yml")
    host.play("rollback_stage1.yml")
    assert not host.scripts.exists() and not (tmp_path / "lib").exists()
