"""Backup trees for the tests of the offsite copy, and what a folder holds."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    MARKER,
)


def name_of(days_ago: float) -> str:
    taken = datetime.datetime.now() - datetime.timedelta(days=days_ago, hours=1)
    return f"chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"


def add_backup(tree: Path, tier: str, days_ago: float = 0, size: int = 4000) -> Path:
    file = tree / tier / name_of(days_ago)
    file.write_bytes(os.urandom(size))
    moment = time.time() - days_ago * 86400 - 3600
    os.utime(file, (moment, moment))
    return file


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; what a sync keeps for itself, too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def plan_tree(root: Path) -> Path:
    """The plan's tree: 7 daily, 4 weekly and 3 monthly backups."""
    for tier, count, step in (("daily", 7, 1), ("weekly", 4, 7), ("monthly", 3, 30)):
        (root / tier).mkdir(parents=True)
        for number in range(count):
            add_backup(root, tier, number * step)
    (root / MARKER).touch()
    return root


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "did not come about"
        time.sleep(0.02)
