"""Backup trees of random bytes, and the content of a folder."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    MARKER,
)


def backup_name(days_ago: float) -> str:
    """The name of a backup that was taken so many days and one hour ago."""
    taken = datetime.datetime.now() - datetime.timedelta(days=days_ago, hours=1)
    return f"chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"


def add_backup(tree: Path, tier: str, days_ago: float = 0, size: int = 4000) -> Path:
    """Write a backup of `size` bytes and that age into a tier; return its path."""
    file = tree / tier / backup_name(days_ago)
    file.write_bytes(os.urandom(size))
    moment = time.time() - days_ago * 86400 - 3600
    os.utime(file, (moment, moment))
    return file


def contents(folder: Path, *, without: str = "") -> dict[str, bytes]:
    """The content of every file below a folder by relative path, bookkeeping of a sync included.

    Args:
        folder: of the files.
        without: a folder in it that is passed over, for a server may still work in there.
    """
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if not (without and path.relative_to(folder).parts[0] == without) and path.is_file()
    }


def plan_tree(root: Path) -> Path:
    """Make the plan's tree: 7 daily, 4 weekly and 3 monthly backups; return its root."""
    for tier, count, step in (("daily", 7, 1), ("weekly", 4, 7), ("monthly", 3, 30)):
        (root / tier).mkdir(parents=True)
        for number in range(count):
            add_backup(root, tier, number * step)
    (root / MARKER).touch()
    return root


def rot(file: Path) -> bytes:
    """Change one byte of a file, and leave its size and times as they are; return the content."""
    status = file.stat()
    body = bytearray(file.read_bytes())
    body[50] ^= 1
    file.write_bytes(body)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return bytes(body)
