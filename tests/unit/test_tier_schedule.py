"""The schedule of the tiers: a renamed tier is refused until somebody says how often it is due."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    destinations,
    offsite_config,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_config import (
    DestinationSettings,
    OffsiteSettings,
)


def settings(*tiers: str, **more: Any) -> OffsiteSettings:
    destination = DestinationSettings(host="h", user="u", path="/b", mode="account")
    return OffsiteSettings(
        config_dir="/c", state_dir="/s", destinations=(destination,), backup_tiers=tiers, **more
    )


@pytest.mark.parametrize(
    "tiers",
    [("nightly", "weekly", "monthly"), ("nightly",), ("Daily",), ("a b", "c d")],
    ids=["one of three", "the only one", "another case", "odd names"],
)
def test_renamed_tiers_need_a_schedule(tiers: tuple[str, ...]) -> None:
    """Else "Newest backup: none" stood over seven backups, and the exit code was 0."""
    for tried in (offsite_config.check, destinations.syncs):
        with pytest.raises(ResilienceError) as refused:
            tried(settings(*tiers))
        text = str(refused.value)
        assert "no schedule is given for the tiers" in text and "[schedule=" in text
        assert all(tier in text for tier in tiers)
    given = settings(*tiers, schedule=dict.fromkeys(tiers, 12))
    (sync,) = destinations.syncs(given)
    assert sync.schedule == dict.fromkeys(tiers, 12.0)


@pytest.mark.parametrize(
    ("tiers", "schedule"),
    [
        (("daily", "weekly"), {"dialy": 24}),
        ((), {"daily": 24, "yearly": 9000}),
        ((".",), {"daily": 24}),
    ],
    ids=["a slip", "one too many", "a flat folder"],
)
def test_a_schedule_of_tiers_that_are_not_there_is_refused(
    tiers: tuple[str, ...], schedule: dict[str, float]
) -> None:
    with pytest.raises(ResilienceError, match="names tiers that are not there"):
        offsite_config.check(settings(*tiers, schedule=schedule))


PLAN = {"daily": 24.0, "weekly": 168.0, "monthly": 744.0}


@pytest.mark.parametrize(
    ("healthy", "schedule"),
    [
        (settings(), PLAN),
        (settings("daily"), PLAN),
        (settings("daily", "weekly", schedule={"daily": 24}), {"daily": 24.0}),
        (settings("daily", schedule={}), {}),
        (settings("."), {"backups": 24.0}),
        (settings(".", schedule={".": 6}), {"backups": 6.0}),
        (settings(backup_pattern="bistro-%Y-%m-%d.sql.gz"), {"backups": 24.0}),
    ],
)
def test_what_is_healthy_needs_none(healthy: OffsiteSettings, schedule: dict[str, float]) -> None:
    offsite_config.check(healthy)
    (sync,) = destinations.syncs(healthy)
    assert sync.schedule == schedule
