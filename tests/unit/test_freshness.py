"""What each tier has and owes."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import freshness
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.inventory import (
    BackupFile,
    Inventory,
)

NOW = datetime.datetime(2025, 11, 20, 12).astimezone()


def tree(**days_ago: list[float]) -> Inventory:
    files = []
    for tier, ages in days_ago.items():
        for age in ages:
            taken = (NOW - datetime.timedelta(days=age, hours=9)).replace(tzinfo=None)
            files.append(
                BackupFile(f"{tier}/{age}", tier, 1, 0, None, taken.isoformat(timespec="seconds"))
            )
    return Inventory("/b", files)


def test_a_whole_schedule_owes_nothing() -> None:
    seen = tree(daily=list(range(7)), weekly=[0, 7, 14, 21], monthly=[0, 30, 61])
    found = freshness.of(seen, freshness.SCHEDULE, NOW)
    assert freshness.problems(found) == []
    assert found["daily"]["newest"] == "daily/0" and found["daily"]["age_hours"] == 9


def test_saved_roles_are_no_fresh_backup() -> None:
    """They have a backup's date; a product that is called so has its backups all the same."""
    taken = NOW.replace(tzinfo=None).isoformat(timespec="seconds")
    for name, fresh in (("roles_20251120_120000.sql", False), ("shop_20251120.sql.gz", True)):
        held = tree(daily=[3])
        held.files.append(BackupFile(f"daily/{name}", "daily", 1, 0, None, taken))
        assert freshness.of(held, {"daily": 24}, NOW)["daily"]["fresh"] is fresh
    files = [BackupFile("daily/roles-bakery_20251120_120000.sql", "daily", 1, 0, None, taken)]
    assert freshness.of(Inventory("/b", files), {"daily": 24}, NOW)["daily"]["fresh"]


def test_a_missing_night_is_named_by_its_date() -> None:
    found = freshness.of(tree(daily=[0, 1, 4, 5]), {"daily": 24}, NOW)
    assert [gap[:16] for gap in found["daily"]["gaps"]] == ["2025-11-17T03:00", "2025-11-18T03:00"]
    assert found["daily"]["fresh"]
    assert "no backup was taken at 2025-11-17" in freshness.problems(found)[0]


@pytest.mark.parametrize(("age", "fresh"), [(0.8, True), (1.0, False)])
def test_late_is_a_quarter_after_the_time(age: float, fresh: bool) -> None:
    assert freshness.of(tree(daily=[age]), {"daily": 24}, NOW)["daily"]["fresh"] is fresh


def test_an_empty_tier_and_one_from_the_future_are_not_fresh() -> None:
    found = freshness.of(tree(daily=[-3]), {"daily": 24, "weekly": 168}, NOW)
    assert [found[tier]["fresh"] for tier in found] == [False, False]
    assert freshness.problems(found)[0] == "daily has no backup that counts"
    assert freshness.of(tree(), {"yearly": 1}, NOW) == {}


@pytest.mark.parametrize("hours", [0, -1, "24", True])
def test_a_schedule_of_anything_else_is_refused(hours: object) -> None:
    with pytest.raises(ResilienceError, match="schedule"):
        freshness.of(tree(), {"daily": hours}, NOW)
