"""The whole plan in its order: a stage that fails stops the next one, and the earlier one stays."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

from support.play_host import PlayHost


def hang_up(server: socket.socket) -> None:
    """Accept connections, and close each at once."""
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def test_a_failed_stage_stops_the_next(tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    for tier in ("daily", "weekly", "monthly"):
        (backups / tier).mkdir(parents=True)
    key = tmp_path / "somebody"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    server = {
        "host": "127.0.0.1",
        "user": "nobody",
        "path": "/nowhere",
        "host_key": key.with_suffix(".pub").read_text(),
    }
    host = PlayHost(
        tmp_path,
        disk_monitor_paths=[str(tmp_path)],
        disk_monitor_cron_enabled=False,
        resilience_backup_path=str(backups),
        offsite_backup_cron_enabled=False,
    )
    # What can be seen beforehand stops the play before stage 1.
    run = host.run("site.yml", resilience_offsite={**server, "port": 1})
    assert run.returncode != 0
    assert "port 1, cannot be reached from this host: Connection refused" in run.stdout
    assert not host.scripts.exists()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        threading.Thread(target=hang_up, args=(silent,), daemon=True).start()
        run = host.run("site.yml", resilience_offsite={**server, "port": port})
    assert run.returncode != 0
    assert "Fail with the reason why the server cannot be used" in run.stdout
    assert "sync-backups-offsite: the connection was" in run.stdout
    assert "Restore the newest backup" not in run.stdout
    assert (host.scripts / "disk-status.sh").exists()
    assert not (host.scripts / "test-restore-staging.sh").exists()
    assert not (tmp_path / "staging").exists()

    host.play("rollback_stage2.yml")
    host.play("rollback_stage1.yml")
    assert not host.scripts.exists() and not (tmp_path / "lib").exists()
