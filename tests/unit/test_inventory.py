"""What a tree holds, and how two trees differ."""

from __future__ import annotations

import datetime
import hashlib
import os
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    inventory,
    tree_comparison,
    tree_digests,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.inventory_names import (
    printable,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for tier in inventory.TIERS:
        (tmp_path / tier).mkdir()
    for day in (18, 19, 20):
        path = tmp_path / "daily" / f"chefwell_backup_202511{day}_030000.dump.gz"
        path.write_bytes(bytes([day]) * day)
    return tmp_path


def read(tree: Path) -> inventory.Inventory:
    """The tree with the digests of its backups."""
    return tree_digests.with_digests(inventory.scan(str(tree)))


def test_counts_bytes_newest_oldest_and_digests(tree: Path) -> None:
    found = read(tree)
    daily = found.tiers()["daily"]
    assert (daily.count, daily.bytes) == (3, 57)
    assert daily.newest == "daily/chefwell_backup_20251120_030000.dump.gz"
    assert daily.oldest == "daily/chefwell_backup_20251118_030000.dump.gz"
    assert found.tiers()["weekly"].count == 0
    newest = found.newest()
    assert newest and newest.sha256 == hashlib.sha256(bytes([20]) * 20).hexdigest()
    assert newest.taken_at == "2025-11-20T03:00:00"
    assert found.problems == found.ignored == found.in_progress == []


def test_what_is_no_backup_is_listed_and_never_opened(tree: Path) -> None:
    (tree / "daily" / "notes.txt").touch()
    (tree / "daily" / "chefwell_backup_20250101_000000.dump").symlink_to("/etc/passwd")
    os.mkfifo(tree / "daily" / "chefwell_backup_20250102_000000.dump")
    (tree / "daily" / "loop").symlink_to(".")
    found = read(tree)
    assert found.total_count == 3
    assert len(found.ignored) == 4
    assert any("named pipe" in entry for entry in found.ignored)


def test_a_missing_tier_is_a_problem_and_a_missing_tree_an_error(tree: Path) -> None:
    (tree / "monthly").rmdir()
    assert read(tree).problems == ["monthly: No such file or directory"]
    with pytest.raises(ResilienceError, match="mount it"):
        inventory.scan(str(tree / "none"))
    with pytest.raises(ResilienceError, match="not a folder"):
        inventory.scan(str(tree / "daily" / "chefwell_backup_20251118_030000.dump.gz"))
    with pytest.raises(ResilienceError, match="regular expression"):
        inventory.scan(str(tree), pattern="(")


def test_a_file_that_is_written_is_left_out(tree: Path) -> None:
    name = "daily/chefwell_backup_20251121_030000.dump.gz"
    with (tree / name).open("wb") as growing:
        growing.write(b"x")
        found = read(tree)
        assert found.in_progress == [name]
        assert found.total_count == 3
    assert read(tree).total_count == 4


def test_a_file_that_is_only_read_counts(tree: Path) -> None:
    with (tree / "daily" / "chefwell_backup_20251120_030000.dump.gz").open("rb"):
        assert read(tree).total_count == 3


def test_an_impossible_date_is_no_date(tree: Path) -> None:
    (tree / "daily" / "chefwell_backup_20259999_030000.dump.gz").write_bytes(b"x")
    files = {file.name: file for file in read(tree).files}
    odd = files["chefwell_backup_20259999_030000.dump.gz"]
    assert odd.taken_at is None
    assert odd.age_seconds(datetime.datetime.now().astimezone()) < 60


def test_trees_compare_by_content(tree: Path) -> None:
    local = read(tree)
    assert tree_comparison.compare(local, read(tree)).in_sync
    victim = tree / "daily" / "chefwell_backup_20251119_030000.dump.gz"
    seen = victim.stat()
    victim.write_bytes(b"?" * 19)
    os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    (tree / "daily" / "chefwell_backup_20251118_030000.dump.gz").unlink()
    (tree / "weekly" / "chefwell_backup_20251116_030000.dump.gz").touch()
    other = read(tree)
    found = tree_comparison.compare(local, other)
    assert not found.in_sync
    assert found.different == ["daily/chefwell_backup_20251119_030000.dump.gz"]
    assert found.missing == ["daily/chefwell_backup_20251118_030000.dump.gz"]
    assert found.extra == ["weekly/chefwell_backup_20251116_030000.dump.gz"]
    assert found.compared_by == "sha256"


def test_without_digests_sizes_are_compared_with_a_warning(tree: Path) -> None:
    local = inventory.scan(str(tree))
    assert tree_comparison.compare(local, read(tree)).compared_by == "bytes"


def test_a_tree_with_problems_is_never_in_sync(tree: Path) -> None:
    local = read(tree)
    (tree / "monthly").rmdir()
    found = tree_comparison.compare(local, read(tree))
    assert not found.in_sync and found.unknown == ["remote: monthly: No such file or directory"]


def test_plain_values_and_back(tree: Path) -> None:
    local = read(tree)
    assert inventory.from_dict(local.to_dict()).to_dict() == local.to_dict()
    for wrong in ({}, {"root": "/", "files": [{"no": 1}], "tiers": {}}, {"root": "/", "files": 5}):
        with pytest.raises(ResilienceError, match="not an inventory"):
            inventory.from_dict(wrong)


def test_hostile_names_become_printable(tree: Path) -> None:
    for name in (b"a\nb\xff.dump", b"<b>'\"\x1b[31m.dump"):
        (tree / "weekly" / os.fsdecode(name)).touch()
    found = printable(inventory.scan(str(tree), pattern=r"(?s).*\.dump$"))
    paths = [file.path for file in found.files]
    assert paths == ["weekly/<b>'\"\\x1b[31m.dump", "weekly/a\\nb\\xff.dump"]
    assert found.problems == []


def test_names_that_look_alike_once_printable_are_a_problem(tree: Path) -> None:
    for name in (b"a\xff.dump", b"a\\xff.dump"):
        (tree / "weekly" / os.fsdecode(name)).touch()
    found = printable(inventory.scan(str(tree), pattern=r".*\.dump$"))
    assert "look the same" in found.problems[0]
