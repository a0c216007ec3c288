"""Which digests are believed, and which are taken again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    digest_cache,
    path_table,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.digest_cache import (
    DigestCache,
    Identity,
    Known,
    plan,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_table import (
    IDENTITIES,
    PathTable,
)

DAY = 86400.0
NOW = 1000 * DAY


def identity(size: int = 100, mtime: int = 1, inode: int = 2, ctime: int = 3) -> Identity:
    return size, mtime, inode, ctime


def known(days_ago: float, seen: Identity | None = None) -> Known:
    return Known(seen or identity(), "a" * 64, NOW - days_ago * DAY)


def test_what_is_new_or_changed_is_read() -> None:
    files = {name: identity() for name in ("same", "new")} | {
        "size": identity(size=101),
        "mtime": identity(mtime=9),
        "inode": identity(inode=9),
        "ctime": identity(ctime=9),
    }
    entries = {name: known(0.1) for name in ("same", "size", "mtime", "inode", "ctime", "gone")}
    planned = plan(entries, files, now=NOW, full_days=30)
    assert planned.to_read == ["ctime", "inode", "mtime", "new", "size"]
    assert planned.cached == {"same": "a" * 64} and planned.before == {}


def test_a_share_is_read_again_each_day_oldest_first_and_all_in_time() -> None:
    files = {f"f{number}": identity() for number in range(10)}
    entries = {f"f{number}": known(1 + number) for number in range(10)}
    planned = plan(entries, files, now=NOW, full_days=10)
    assert planned.to_read == ["f9"]
    assert planned.before == {"f9": "a" * 64}
    # Ten daily runs read every one.
    read: set[str] = set()
    for day in range(10):
        planned = plan(entries, files, now=NOW + day * DAY, full_days=10)
        read |= set(planned.to_read)
        entries |= {name: Known(identity(), "a" * 64, NOW + day * DAY) for name in planned.to_read}
    assert len(read) == 10


def test_overdue_ones_are_all_read_and_full_means_everything() -> None:
    files = {f"f{number}": identity() for number in range(4)}
    entries = {name: known(31) for name in files}
    assert len(plan(entries, files, now=NOW, full_days=30).to_read) == 4
    fresh = {name: known(0.1) for name in files}
    assert plan(fresh, files, now=NOW, full_days=30).to_read == []
    full = plan(fresh, files, now=NOW, full_days=30, full=True)
    assert len(full.to_read) == 4 and len(full.before) == 4


def test_a_cache_keeps_what_is_there_and_a_damaged_one_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "state" / "digests.json"
    cache = DigestCache(str(path))
    files = {"a\udcff": identity(), "b": identity()}
    cache.learn(files, {"a\udcff": "1" * 64, "b": "2" * 64}, NOW)
    assert cache.save(files) is None
    again = DigestCache(str(path))
    assert again.entries["a\udcff"] == Known(identity(), "1" * 64, NOW)
    written = path.stat().st_mtime_ns
    assert again.save(files) is None and path.stat().st_mtime_ns == written
    assert again.save({"b": identity()}) is None
    assert set(DigestCache(str(path)).entries) == {"b"}
    path.write_text("{half")
    assert DigestCache(str(path)).entries == {}
    unwritable = DigestCache("/proc/none/x")
    unwritable.learn(files, {"b": "2" * 64}, NOW)
    assert "cannot be stored" in str(unwritable.save(files))


def test_other_content_with_the_old_size_and_time() -> None:
    """Of a file that is never written again it counts as changed in its place."""
    entries = {"a": Known((5, 7, 1, 1), "a" * 64, 50.0)}
    now = {"a": (5, 7, 2, 9)}
    plain = plan(entries, now, now=100.0, full_days=30)
    assert (plain.to_read, plain.before) == (["a"], {})
    once = plan(entries, now, now=100.0, full_days=30, written_once=True)
    assert (once.to_read, once.before) == (["a"], {"a": "a" * 64})


def test_a_clock_that_was_ahead_keeps_nothing_from_being_read() -> None:
    entries = {"a": Known((5, 7, 1, 1), "a" * 64, 10.0**10)}
    found = plan(entries, {"a": (5, 7, 1, 1)}, now=10.0**9, full_days=30)
    assert found.to_read == ["a"]


def test_a_share_is_in_the_order_of_the_times() -> None:
    """Whether all were read in a few runs, or each at a time of its own."""
    for times in (3, 7, 5000):
        count = 2000
        ages = {
            f"f{number:04d}": 1 + number * 7919 % count % times / times for number in range(count)
        }
        files = dict.fromkeys(ages, identity())
        found = plan({name: known(ages[name]) for name in files}, files, now=NOW, full_days=10)
        oldest = sorted(sorted(ages), key=lambda name: -ages[name])
        assert found.to_read == sorted(oldest[: count // 10])
        rest = dict.fromkeys(oldest[count // 10 :], "a" * 64)
        assert found.cached == rest and len(found.cached) == len(rest)
        first, left_out = next(iter(sorted(rest))), oldest[0]
        assert found.cached.get(first) == found.cached[first] == "a" * 64
        assert left_out not in found.cached and found.cached.get(left_out) is None
        assert found.before == dict.fromkeys(oldest[: count // 10], "a" * 64)


def test_what_is_both_new_and_of_the_share_is_left_out_of_the_cached_ones() -> None:
    files = {"changed": identity(size=7), "new": identity(), "old": identity(), "kept": identity()}
    entries = {"changed": known(2), "old": known(40), "kept": known(0.1)}
    found = plan(entries, files, now=NOW, full_days=30, written_once=True)
    assert found.to_read == ["changed", "new", "old"] and found.before == {"old": "a" * 64}
    assert found.cached == {"kept": "a" * 64} and len(found.cached) == 1


def test_a_night_with_a_new_backup_takes_no_memory_for_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a million backups have almost the same paths each night, which are in memory once."""
    monkeypatch.setattr(path_table, "_LEAST_FOLLOWED", 0)
    file = tmp_path / "cache.json"
    known = {f"daily/{number:03d}": [1, 2, 3, 4, "a" * 64, 5.0] for number in range(100)}
    rotated = {"daily/000-rotated": [1, 2, 3, 4, "c" * 64, 5.0]}
    file.write_text(json.dumps({**known, **rotated}, sort_keys=True))
    identity = (1, 2, 3, 4)
    paths = sorted([*known, "daily/050-new"])
    files = PathTable(IDENTITIES, {path: identity for path in paths})
    cache = digest_cache.DigestCache(str(file), files)
    planned = digest_cache.plan(cache.entries, files, now=9, full_days=float("inf"))
    assert list(planned.to_read) == ["daily/050-new"]
    assert planned.cached.keys() == known.keys()
    cache.learn(files, {"daily/050-new": "b" * 64}, 9)
    assert cache.entries.has_memory_of(files) and cache.save(files) is None
    again = digest_cache.DigestCache(str(file), files)
    assert list(again.entries) == paths and again.entries["daily/050-new"].sha256 == "b" * 64
    # What is not as it was is read again.
    files["daily/007"] = (1, 2, 3, 5)
    changed = digest_cache.plan(again.entries, files, now=9, full_days=float("inf"))
    assert list(changed.to_read) == ["daily/007"]
