"""Files that belong to a backup: their names, and that nothing counts them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    backup_names,
    companions,
    inventory,
    sealed_names,
    unrecognised,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_table import (
    SIZES,
    PathTable,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import offsite_guards

NAME = "shop_20251120_030000.dump.gz"
BESIDE = [f"{NAME}{ending}" for ending in companions.ENDINGS]


@pytest.mark.parametrize("name", [*BESIDE, f"{NAME}.age.sha256"])
@pytest.mark.parametrize("pattern", ["", "shop"], ids=["the plan's", "an open end"])
def test_it_is_no_backup_and_belongs_to_one(name: str, pattern: str) -> None:
    known = backup_names.compiled(pattern)
    assert companions.is_companion(name) and companions.owner(f"daily/{name}") == f"daily/{NAME}"
    assert companions.match_name(name, known) and sealed_names.match_stored(name, known)
    assert sealed_names.is_beside(f"daily/{name}", known)
    assert sealed_names.owner(f"daily/{name}", known) == f"daily/{NAME}"


@pytest.mark.parametrize("name", [NAME, f"{NAME}.age", "shop.sha256.gz", "manifest.json"])
def test_others_belong_to_none(name: str) -> None:
    assert not companions.is_companion(name) and companions.owner(name) == ""


@pytest.mark.parametrize("name", ["notes.sha256", ".shop_20251120_030000.dump.sha256", ".sha256"])
def test_what_belongs_to_no_backup_is_not_recognised(name: str) -> None:
    known = backup_names.compiled("")
    assert companions.match_name(name, known) is None
    assert sealed_names.match_stored(name, known) is None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A plain backup, and one that lies sealed, each with all that may belong to it."""
    (tmp_path / "daily").mkdir()
    sealed = NAME.replace("20", "30", 1)
    for one in (NAME, f"{sealed}.age"):
        (tmp_path / "daily" / one).write_bytes(b"12345")
    for ending in backup_names.COMPANIONS:
        (tmp_path / "daily" / f"{NAME}{ending}").write_bytes(b"12")
        (tmp_path / "daily" / f"{sealed}{ending}.age").write_bytes(b"12")
    return tmp_path


def test_a_scan_lists_them_on_request_and_counts_backups(tree: Path) -> None:
    plain = inventory.scan(str(tree), tiers=["daily"])
    assert (len(plain.files), len(plain.ignored)) == (2, 6)
    assert unrecognised.names(plain) == []
    found = inventory.scan(str(tree), tiers=["daily"], with_companions=True)
    assert (len(found.files), found.ignored, len(found.states)) == (8, [], 8)
    assert (found.total_count, found.total_bytes) == (2, 10)
    summary = found.tiers()["daily"]
    assert (summary.count, summary.bytes) == (2, 10)
    newest = found.newest()
    assert newest is not None and newest.path == summary.newest and newest.name.endswith(".gz.age")
    assert [file.path for file in found.backups] == [file.path for file in plain.files]
    listed = inventory.from_dict(found.to_dict())
    assert (len(listed.files), listed.total_count) == (8, 2)


def test_one_whose_backup_is_gone_is_no_backup_either(tree: Path) -> None:
    (tree / "daily" / NAME).unlink()
    found = inventory.scan(str(tree), tiers=["daily"], with_companions=True)
    assert (len(found.files), found.total_count) == (7, 1)


def test_guards_do_not_look_at_them() -> None:
    backups = {f"daily/{number}.dump": (1000, 1) for number in range(10)}
    beside = {f"{path}.sha256": (1, 1) for path in backups}
    changed = {path: (2, 2) for path in beside}
    limits = offsite_guards.Limits(change_percent=0)
    for now in (backups, {**backups, **changed}):
        assert offsite_guards.changes(now, limits, {**backups, **beside}) == []
        assert offsite_guards.changed_count(now, {**backups, **beside}) == 0
        (day,) = offsite_guards.with_today([], 0.0, now, 0)
        assert day.counts == {"daily": 10}
    lost = dict(list(backups.items())[:9])
    assert offsite_guards.changes({**lost, **beside}, limits, {**backups, **beside})


def test_a_table_without_some_paths() -> None:
    sizes = PathTable(SIZES, {f"daily/{number}": number for number in range(9)})
    view = sizes.view(SIZES, 0)
    assert sizes.without(lambda _path: False) is sizes
    assert dict(sizes.without(lambda _path: True)) == {}
    for gone in ({"daily/0"}, {"daily/8"}, {"daily/3", "daily/4", "daily/7"}):
        left = view.without(lambda path, gone=gone: path in gone)  # type: ignore[misc]
        assert dict(left) == {path: size for path, size in sizes.items() if path not in gone}
        left["daily/9"] = 9
        left["daily/00"] = 1
        assert len(left) == 11 - len(gone) and list(left) == sorted(left)
    assert len(sizes) == 9 and sizes.has_text("x", "ly/8") and not sizes.has_text("/9", ".sha256")
