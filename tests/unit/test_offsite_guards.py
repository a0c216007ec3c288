"""The guards: what is let through, what is refused, and what is only warned of."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.inventory import (
    BackupFile,
    Inventory,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_guards as guards,
)

NOW = datetime.datetime(2025, 11, 20, 4, 0).astimezone()
LIMITS = guards.Limits()


def backup(tier: str, day: int, size: int = 5000, hour: int = 3) -> BackupFile:
    taken = datetime.datetime(2025, 11, 1, hour) + datetime.timedelta(days=day - 1)
    stamp = int(taken.astimezone().timestamp() * 1e9)
    path = f"{tier}/chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"
    return BackupFile(path, tier, size, stamp, None, taken.isoformat())


def tree(*files: BackupFile, **values: list[str]) -> Inventory:
    return Inventory("/backups", list(files), **values)


def seen(*files: BackupFile) -> dict[str, guards.FileState]:
    return {file.path: (file.bytes, file.mtime_ns) for file in files}


DAILY = [backup("daily", day) for day in range(14, 21)]
WEEKLY = [backup("weekly", day, hour=2) for day in (1, 8, 15)]
ALL = [*DAILY, *WEEKLY]


def refused(now: list[BackupFile], before: list[BackupFile], marker: str | None = None):
    return [
        refusal.guard for refusal in guards.check_source(tree(*now), LIMITS, marker, seen(*before))
    ]


def test_nothing_changed_and_a_first_run_pass() -> None:
    assert refused(ALL, ALL) == []
    assert refused(ALL, []) == []


def test_rotation_passes_even_where_one_backup_is_a_whole_tier() -> None:
    assert refused([*ALL[1:], backup("daily", 21)], ALL) == []
    assert refused([backup("monthly", 20)], [backup("monthly", 1)]) == []


def test_rotation_after_a_week_without_a_sync_passes() -> None:
    later = [backup("daily", day) for day in range(21, 28)]
    assert refused([*later, *WEEKLY], ALL) == []


def test_everything_replaced_under_new_names_is_refused() -> None:
    others = [backup("daily", day) for day in range(101, 111)]
    assert refused(others, DAILY) == [guards.MASS_CHANGE]


@pytest.mark.parametrize("lost", [3, 4, 7])
def test_a_tier_that_lost_too_many_is_refused(lost: int) -> None:
    assert refused([*DAILY[lost:], *WEEKLY], ALL) == [guards.MASS_CHANGE]


def test_a_tier_may_lose_a_few() -> None:
    assert refused([*DAILY[2:], *WEEKLY], ALL) == []


def test_bytes_count_as_well_as_files() -> None:
    big = [backup("daily", 14, size=1_000_000), *DAILY[1:]]
    refusals = guards.check_source(tree(*DAILY[1:]), LIMITS, None, seen(*big))
    assert [refusal.guard for refusal in refusals] == [guards.MASS_CHANGE]
    assert "daily lost 1000000 of 1030000 bytes" in str(refusals[0])


def test_changed_backups_are_refused_and_counted() -> None:
    noise = [BackupFile(f.path, f.tier, f.bytes, f.mtime_ns + 1) for f in ALL[:5]]
    refusals = guards.check_source(tree(*noise, *ALL[5:]), LIMITS, None, seen(*ALL))
    assert "5 of 10 backups changed" in str(refusals[0])


def test_marker_and_least_number() -> None:
    assert refused([], [], marker=".chefwell-backups") == [guards.SOURCE, guards.LEAST]


@pytest.mark.parametrize(("size", "expected"), [(0, True), (20, True), (99, True), (100, False)])
def test_a_newest_dump_that_holds_nothing_is_refused_and_named(size: int, expected: bool) -> None:
    empty = backup("daily", 21, size=size)
    refusals = guards.check_source(tree(*ALL, empty), LIMITS, None, {})
    assert bool(refusals) == expected
    if expected:
        assert refusals[0].guard == guards.DUMP_SIZE and empty.path in refusals[0].reason


def destination(**values: object) -> list[str]:
    usual: dict[str, object] = {
        "exists": True,
        "held": ALL,
        "aside": [],
        "bytes_to_send": 0,
        "room": 10**9,
        "synced_before": True,
        "limits": LIMITS,
    }
    return [refusal.guard for refusal in guards.check_destination(**{**usual, **values})]


@pytest.mark.parametrize(
    ("values", "guard"),
    [
        ({}, None),
        ({"exists": False, "held": []}, guards.DESTINATION),
        ({"held": []}, guards.DESTINATION),
        ({"exists": False, "held": [], "synced_before": False}, None),
        ({"aside": [file.path for file in ALL[:5]]}, guards.MASS_CHANGE),
        ({"aside": [file.path for file in ALL[:4]]}, None),
        ({"aside": [ALL[0].path], "held": ALL[:1]}, None),
        ({"bytes_to_send": 2, "room": 1}, guards.ROOM),
        ({"bytes_to_send": 2, "room": None}, None),
    ],
)
def test_the_destination(values: dict[str, object], guard: str | None) -> None:
    assert destination(**values) == ([guard] if guard else [])


def test_a_fresh_tree_gives_no_warning() -> None:
    assert guards.warnings(tree(*ALL), LIMITS, NOW) == []


def test_an_old_newest_backup_is_warned_of_with_its_age() -> None:
    (warning,) = guards.warnings(tree(*ALL), LIMITS, NOW + datetime.timedelta(hours=30))
    assert "31.0 hours old" in warning and DAILY[-1].path in warning


def test_a_backup_from_the_future_does_not_count_as_fresh() -> None:
    future = backup("daily", 25)
    later = NOW + datetime.timedelta(hours=30)
    found = guards.warnings(tree(*ALL, future), LIMITS, later)
    assert len(found) == 2
    assert "from the future" in found[0] and "31.0 hours old" in found[1]


def test_a_newest_backup_that_shrank_is_warned_of() -> None:
    (warning,) = guards.warnings(tree(*ALL[:6], backup("daily", 20, 2000), *WEEKLY), LIMITS, NOW)
    assert "more than 50 % smaller" in warning


def test_a_backup_in_progress_is_reported() -> None:
    found = guards.warnings(tree(*ALL, in_progress=["daily/x.dump"]), LIMITS, NOW)
    assert found == ["daily/x.dump: still being written, left out"]


def test_no_backup_at_all_is_reported() -> None:
    assert guards.warnings(tree(), LIMITS, NOW) == ["there is no backup that could count as fresh"]
