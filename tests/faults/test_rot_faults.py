"""Bit rot below the filesystem (row B7): no time, size or inode changes, on either side."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    digest_cache,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from support.filesystems import Disks, enter_private_mounts
from support.filesystems import run as done
from support.offsite_client import remote_sync
from support.sshd import Sshd

DAYS = 7


def rot(image: Path, point: Path, victim: Path) -> None:
    """Flips one bit of a file on the disk itself, while it is not mounted."""
    head = victim.read_bytes()[:512]
    done("umount", str(point))
    with image.open("r+b") as disk:
        at = disk.read().index(head) + 100
        disk.seek(at)
        byte = disk.read(1)[0]
        disk.seek(at)
        disk.write(bytes([byte ^ 1]))
    done("mount", "-o", "loop", str(image), str(point))


def test_b7_bit_rot_of_the_disk(fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.cause("one bit flipped on each side's disk, under the filesystem; then days go by")
    enter_private_mounts()
    disks = Disks(tmp_path)
    host, far = disks.ext4("host", megabytes=16), disks.ext4("far", megabytes=16)
    server = Sshd()
    try:
        (far / "copy").mkdir()
        server.start()
        settings = dataclasses.replace(remote_sync(server, far / "copy", host), reread_days=DAYS)
        assert sync.sync(settings).status == "ok"
        assert offsite_verification.verify(settings)["comparison"]["in_sync"]
        names = sorted(str(file.relative_to(host / "backups")) for file in host.glob("*/*/*.gz"))
        local, remote = names[3], names[9]
        before = (host / "backups" / local).stat(), (far / "copy" / remote).stat()
        server.stop()  # it has the disk in a mount namespace of its own
        rot(tmp_path / "host.img", host, host / "backups" / local)
        rot(tmp_path / "far.img", far, far / "copy" / remote)
        server.start()
        after = (host / "backups" / local).stat(), (far / "copy" / remote).stat()
        same = [
            (one.st_size, one.st_mtime_ns, one.st_ino, one.st_ctime_ns)
            == (two.st_size, two.st_mtime_ns, two.st_ino, two.st_ctime_ns)
            for one, two in zip(before, after, strict=True)
        ]
        fault.see("size, times and inode are as before", holds=all(same))
        now, read, found = time.time(), {"local": 0, "remote": 0}, {"local": 0, "remote": 0}
        most = 0
        for day in range(1, DAYS + 1):
            # The clock cannot be made to run a week faster for this process alone.
            monkeypatch.setattr(digest_cache, "today", lambda day=day: now + day * 86400)
            seen = offsite_verification.verify(settings)
            for side, victim in (("local", local), ("remote", remote)):
                read[side] += seen["digests"][side]["read"]
                most = max(most, seen["digests"][side]["read"])
                if seen["rotted"][side] == [victim] and not found[side]:
                    found[side] = day
        fault.see(f"named on day {found} of {DAYS}", holds=all(found.values()))
        fault.see(
            f"read again in {DAYS} days: {read} of {len(names)} a side, at most {most} a day",
            holds=min(read.values()) >= len(names) and most <= 4,
        )
        different = seen["comparison"]["different"]
        fault.see(f"different: {different}", holds=different == [local, remote])
        fault.see("exit 2", holds=offsite_verification.verify_exit_code(seen) == 2)
    finally:
        server.remove()
        disks.close()
