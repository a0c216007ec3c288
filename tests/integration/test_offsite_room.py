"""The server's reserve holds against an attacker with the key: bytes and files, on a small disk."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    server_job,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)
from support.filesystems import Disks
from support.sshd import Sshd

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes root")
PAGES, FILES, RESERVE = 10_000, 1_000, 50  # 40.96 MB


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """Its copy lies on a disk of its own, half of which is the reserve."""
    disks = Disks(tmp_path)
    made = Sshd()
    try:
        made.backups = disks.memory("copy", PAGES, FILES)
        made.install_gate(reserve_percent=RESERVE)
        made.start()
        yield made
    finally:
        made.remove()
        disks.close()


def sends(server: Sshd, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As an attacker with the key, not as a client: without a request for room first."""
    shell = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(server.key), "-o"]
    shell += [f"UserKnownHostsFile={server.known_hosts}", "-o", "IdentitiesOnly=yes"]
    at = f"{server.user}@127.0.0.1:incoming/"
    return subprocess.run(
        ["rsync", "-rt", *options, "--rsh", shlex.join(shell), f"{folder}/", at],
        capture_output=True,
        text=True,
        check=False,
    )


def test_many_files_do_not_take_the_reserve(server: Sshd, tmp_path: Path) -> None:
    """Each fits, all together do not; the limit of one file is none for them."""
    loot = tmp_path / "loot" / "daily"
    loot.mkdir(parents=True)
    for number in range(3):
        (loot / f"chefwell_backup_2025112{number}_030000.dump").write_bytes(os.urandom(12_000_000))
    done = sends(server, loot.parent, "--bwlimit=15000")
    seen = os.statvfs(server.backups)
    free = 100 * seen.f_bavail / seen.f_blocks
    print(f"rsync ended with {done.returncode}, {free:.1f} % are free: {done.stderr.strip()}")
    assert done.returncode != 0
    assert "chefwell gate: No space left on device: the disk is full up to" in done.stderr
    # A tenth of a second of 15 MB/s is 3.7 % of this disk; all three files would leave 12 %.
    assert free > RESERVE - 20
    # The next client is refused at once, and the server can still raise its alarm.
    assert "full up to its reserve" in sends(server, loot.parent).stderr
    own = {"root": str(server.backups), "reserve_percent": RESERVE}
    assert "room" in server_job.run(server_store.Store(ServerSettings(**own))).alarms


def test_small_files_do_not_take_every_inode(server: Sshd, tmp_path: Path) -> None:
    loot = tmp_path / "loot" / "daily"
    loot.mkdir(parents=True)
    for number in range(FILES * RESERVE // 100 + 50):
        (loot / f"chefwell_backup_20251120_{number:06}.dump").touch()
    sends(server, loot.parent)
    before = os.statvfs(server.backups).f_favail
    assert 0 < before < FILES * RESERVE / 100
    (loot / "chefwell_backup_20251121_030000.dump").write_bytes(b"one more")
    done = sends(server, loot.parent)
    assert done.returncode != 0 and "full up to its reserve" in done.stderr
    assert os.statvfs(server.backups).f_favail == before
