"""Which backup is chosen, among files and folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.backup_choice import choose
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "daily/shop_20251118_030000.dump.gz",
        "daily/shop_20251119_030000.dump.gz",
        "weekly/shop_20251116_030000.dump.gz",
        "daily/shop_20251120_030000/toc.dat",
        "daily/shop_20251120_030000/3001.dat",
        "weekly/shop_20251117_030000.dir/toc.dat",
        # pg_dump writes a folder's table of contents last: this one is not finished.
        "daily/shop_20251121_030000/3001.dat",
        "daily/notes/readme",
        "elsewhere/shop_20251122_030000/toc.dat",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    (tmp_path / "monthly").mkdir()
    # A link is never followed, wherever it leads.
    os.symlink(tmp_path / "elsewhere" / "shop_20251122_030000", tmp_path / "daily" / "linked")
    return tmp_path


@pytest.mark.parametrize(
    ("which", "name"),
    [
        ({}, "daily/shop_20251120_030000"),
        ({"tier": "daily"}, "daily/shop_20251120_030000"),
        ({"tier": "weekly"}, "weekly/shop_20251117_030000.dir"),
        ({"date": "2025-11-20"}, "daily/shop_20251120_030000"),
        ({"date": "2025-11-19"}, "daily/shop_20251119_030000.dump.gz"),
    ],
)
def test_the_newest_is_a_file_or_a_folder(tree: Path, which: dict[str, str], name: str) -> None:
    chosen = choose(str(tree), **which)
    assert (chosen.path, chosen.tier) == (str(tree / name), name.split("/", maxsplit=1)[0])
    assert chosen.bytes == (10 if name.endswith("1120_030000") else 5)


def test_a_folder_at_a_path_tells_its_size_and_age(tree: Path) -> None:
    chosen = choose(str(tree), path=f"{tree}/daily/shop_20251120_030000/")
    assert (chosen.bytes, chosen.taken_at) == (10, "2025-11-20T03:00:00")


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ({"tier": "monthly"}, "there is no backup of monthly"),
        ({"date": "2025-11-21"}, "there is no backup of 2025-11-21"),
        ({"date": "21/11/2025"}, "this is no day"),
        ({"tier": "hourly"}, "there is no such tier"),
        ({"path": "/nowhere/at.all"}, "cannot be read"),
    ],
)
def test_what_is_not_there_is_said(tree: Path, which: dict[str, str], why: str) -> None:
    with pytest.raises(ResilienceError, match=why):
        choose(str(tree), **which)
