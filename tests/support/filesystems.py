"""Real filesystems: in memory, and ext4 in an image on a loop device.

They are mounted in a mount namespace of the tests, so that no other process of the machine sees
them, and the kernel removes them when the tests end, even when they are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNS = 0x00020000
_entered = False


def enter_private_mounts() -> None:
    """Move this process into a mount namespace of its own, once."""
    global _entered
    if _entered:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: real filesystems need root")
    run("mount", "--make-rprivate", "/")
    _entered = True


def run(*arguments: str) -> str:
    """Run a program, which must succeed; return its output."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def private_crontabs() -> Iterator[None]:
    """Crontabs that only this process and its children see, empty at first."""
    enter_private_mounts()
    spool = Path("/var/spool/cron/crontabs")
    seen = spool.stat()
    options = f"mode={seen.st_mode & 0o7777:o},uid={seen.st_uid},gid={seen.st_gid}"
    run("mount", "-t", "tmpfs", "-o", options, "crontabs", str(spool))
    try:
        yield
    finally:
        run("umount", "-l", str(spool))


class Disks:
    """A maker of filesystems below a folder, which it unmounts in the end."""

    def __init__(self, root: Path) -> None:
        enter_private_mounts()
        self.root = root
        self.mounted: list[Path] = []

    def _mount(self, name: str, *arguments: str) -> Path:
        point = self.root / name
        point.mkdir()
        run("mount", *arguments, str(point))
        self.mounted.append(point)
        return point

    def memory(self, name: str, pages: int = 1000, inodes: int = 1000) -> Path:
        """Mount a tmpfs of so many pages of 4096 bytes and so many inodes; return its folder."""
        return self._mount(
            name, "-t", "tmpfs", "-o", f"size={pages * 4096},nr_inodes={inodes}", name
        )

    def ext4(self, name: str, megabytes: int = 64, inodes: int = 2000) -> Path:
        """Mount an ext4 with 5 % of its blocks reserved for root; return its folder."""
        image = self.root / f"{name}.img"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", "-m", "5", "-N", str(inodes), str(image))
        return self._mount(name, "-o", "loop", str(image))

    def bind(self, name: str, source: Path) -> Path:
        """Mount what is mounted at `source` once more; return the second folder."""
        return self._mount(name, "--bind", str(source))

    def unmount(self, point: Path) -> None:
        """Unmount one, and keep its folder."""
        run("umount", "-l", str(point))
        self.mounted.remove(point)

    def close(self) -> None:
        """Unmount all of them."""
        for point in reversed(list(self.mounted)):
            self.unmount(point)


def percent_used(path: Path) -> float:
    """How full a filesystem is, in per cent by `df`'s rule, from the numbers that `df` prints."""
    used, available = map(int, run("df", "-B1", "--output=used,avail", str(path)).split()[2:])
    return 100 * used / (used + available)


def fill(path: Path, percent: float, name: str = "filler") -> None:
    """Write a file so large that `df` prints `percent` for the filesystem."""
    used, available = map(int, run("df", "-B1", "--output=used,avail", str(path)).split()[2:])
    size = round((used + available) * percent / 100 / 4096) * 4096 - used
    file = path / name
    held = file.stat().st_blocks * 512 if file.exists() else 0
    with file.open("ab") as handle:
        if held:
            handle.truncate(0)
            size += held
        os.posix_fallocate(handle.fileno(), 0, size)
