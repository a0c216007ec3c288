"""What the backup server does while a transfer arrives: write to its disk, and watch."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.server.incoming import (
    ArrivalSession,
)
from support.filesystems import Disks
from support.gated_backup_server import Attacker, attacker, settings
from support.processes import has_ended
from support.server_copies import BACKUPS, make_store, put
from support.sshd import server
from support.waiting import wait_for

__all__ = ["attacker", "server", "settings"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own takes root")
def test_what_has_arrived_goes_to_the_disk_at_once(tmp_path: Path) -> None:
    """Otherwise all of it waits for the disk when the last backup has arrived."""
    disks, size = Disks(tmp_path), 16 << 20
    try:
        copy = disks.ext4("copy")
        store = make_store(copy)
        os.sync()
        put(store, {BACKUPS[0]: os.urandom(size)})
        device = copy.stat().st_dev
        statistics = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")

        def written() -> int:
            return int(statistics.read_text().split()[6]) * 512

        before, began = written(), time.monotonic()
        waiting, inventory = os.pipe()
        with ArrivalSession(store) as session, os.fdopen(waiting, "rb") as stream:
            # The inventory comes a second later, when the first look is over.
            threading.Timer(1.0, os.close, [inventory]).start()
            session.watch(stream)
            arrival = session.arrival(BACKUPS[0])
            assert arrival and arrival[1] == size
            wait_for(lambda: written() - before >= size)
        # By itself the kernel begins after 30 seconds.
        assert time.monotonic() - began < 20
    finally:
        disks.close()


def test_the_process_that_watches_holds_nothing_and_ends(attacker: Attacker) -> None:
    """A lock of it would keep a session of the client open, and its output the connection."""
    request = "rsync --server -tpre.LsfxCIvu --timeout=300 --partial-dir .rsync-partial . incoming"
    line = [*attacker.ssh, attacker.account, request]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        found: list[psutil.Process] = []

        def is_received() -> bool:
            """Return whether rsync has taken the gate's place, with its watching child."""
            for pid in attacker.server.children():
                process = psutil.Process(pid)
                if process.name() == "rsync" and process.children():
                    found[:] = [process, *process.children()]
            return bool(found)

        wait_for(is_received)
        rsync, watching = found[0], found[-1]
        folder = Path(f"/proc/{watching.pid}/fd")

        def descriptors() -> dict[str, str]:
            return {one.name: os.readlink(one) for one in folder.iterdir()}

        wait_for(lambda: len(descriptors()) == 4)
        kept = descriptors()
        assert kept.pop("0") == kept.pop("1") == os.devnull
        assert kept.pop("2").startswith("pipe:")
        assert list(kept.values()) == ["anon_inode:[pidfd]"]
        assert os.readlink(f"/proc/{watching.pid}/cwd") == "/"
        locks = [str(one.path) for one in rsync.open_files()]
        assert any("/sessions/" in path for path in locks), locks
        # Confined is the rsync alone: what is in the way is moved out of `incoming` afterwards.
        incoming = Path(attacker.server.backups, ".chefwell", "incoming")
        Path(incoming, "daily", "chefwell_backup_20251224_030000.dump").mkdir(parents=True)
        rsync.kill()
        wait_for(lambda: has_ended(watching.pid))
        assert os.listdir(Path(attacker.server.backups, ".chefwell", "quarantine"))
        client.kill()
