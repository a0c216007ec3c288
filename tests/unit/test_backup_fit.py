"""Does tonight's dump fit, does a drill fit, for how many nights does the retention plan fit."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import backup_fit
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.backup_fit import (
    DRILL_BASE,
    HORIZON,
    BackupFit,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.inventory import (
    BackupFile,
)

GB = 1 << 30
LAST = datetime.datetime(2025, 11, 20, 3, tzinfo=datetime.timezone.utc)


def backup(tier: str, nights_ago: float, size: int) -> BackupFile:
    moment = LAST - datetime.timedelta(days=nights_ago)
    name = f"{tier}/chefwell_backup_{moment:%Y%m%d_%H%M%S}.dump.gz"
    return BackupFile(
        path=name,
        tier=tier,
        bytes=size,
        mtime_ns=int(moment.timestamp() * 1e9),
        taken_at=moment.isoformat(),
    )


def full_plan(size: int = GB) -> list[BackupFile]:
    """7 daily, 4 weekly and 3 monthly ones, as the plan keeps them."""
    return [
        *(backup("daily", night, size) for night in range(7)),
        *(backup("weekly", 1 + week * 7, size) for week in range(4)),
        *(backup("monthly", 20 + month * 30, size) for month in range(3)),
    ]


def fits(backups: list[BackupFile], available: float, **options: object) -> BackupFit:
    return backup_fit.backup_fit(backups, int(available), **{"drill_available": 0, **options})


def levels(
    found: BackupFit, available: float, warn_nights: float = 7
) -> dict[str, tuple[str, str]]:
    causes = backup_fit.fit_causes(found, int(available), warn_nights)
    return {cause.code: (cause.level, cause.falls_to) for cause in causes}


def test_without_a_backup_nothing_is_predicted() -> None:
    found = fits([], 10 * GB)
    assert (found.next_dump, found.dump_fits, found.drill_fits, found.nights) == (None,) * 4
    assert levels(found, 10 * GB) == {}


def test_tonights_dump_is_the_largest_of_a_week_and_grows() -> None:
    sizes = [500, 100, 900, 700, 300, 200, 400, 600, 800]  # the newest first
    backups = [backup("daily", night, size) for night, size in enumerate(sizes)]
    found = fits(backups, GB)
    assert found.next_dump is not None and found.next_dump == int(900 + found.dump_growth)
    steady = [backup("daily", night, 1000 - 10 * night) for night in range(7)]
    assert fits(steady, GB).dump_growth == pytest.approx(10)
    assert fits(steady, GB).next_dump == 1010
    # One that shrinks is not counted on, and neither are two nights.
    assert fits([backup("daily", night, 100 + 10 * night) for night in range(7)], GB).next_dump == (
        160
    )
    assert fits(steady[:2], GB).dump_growth == 0


def test_a_copy_in_another_tier_is_one_dump() -> None:
    twice = [backup("daily", 0, 1000), backup("weekly", 0, 1000), backup("daily", 1, 990)]
    assert fits(twice, GB).dump_growth == 0  # of two dumps none is known


@pytest.mark.parametrize(
    ("spare", "expected"),
    [
        (1.19, ("critical", "critical")),
        (1.2, ("warning", "critical")),
        (1.4, ("warning", "warning")),
        (2.39, ("warning", "warning")),
        (2.4, ("ok", "warning")),
        (2.7, ("ok", "ok")),
    ],
)
def test_a_dump_is_notified_before_it_does_not_fit(spare: float, expected: tuple[str, str]) -> None:
    """A fifth is kept in hand, and below twice that there is a warning."""
    available = spare * 1000
    found = fits([backup("daily", 0, 1000)], available)
    assert levels(found, available)["dump_fit"] == expected
    assert found.dump_fits == (expected[0] != "critical")


def test_a_sealed_dump_is_opened_before_it_is_restored() -> None:
    plain = full_plan()
    sealed = [one._replace(path=f"{one.path}.age") if one == plain[0] else one for one in plain]
    needs = {fits(found, 10 * GB).drill_needs for found in (plain, sealed)}
    assert max(needs) - min(needs) == GB
    # An older one that is sealed costs nothing.
    older = [one._replace(path=f"{one.path}.age") if one == plain[3] else one for one in plain]
    assert fits(older, 10 * GB).drill_needs == min(needs)


def test_a_drill_takes_the_newest_dump_many_times_and_is_never_critical() -> None:
    backups = [backup("daily", 0, GB), backup("daily", 1, 9 * GB)]
    needs = 13 * GB + DRILL_BASE
    for left, expected in (
        (needs - 1, "warning"),
        (needs, "warning"),
        (2 * needs, "ok"),
        (0, "warning"),
    ):
        found = fits(backups, 100 * GB, drill_available=left)
        assert (found.drill_needs, found.drill_fits) == (needs, left >= needs)
        assert levels(found, 100 * GB)["drill_fit"][0] == expected
    assert fits(backups, GB, drill_factor=2).drill_needs == 3 * GB + DRILL_BASE
    unknown = fits(backups, 100 * GB, drill_available=None)
    assert levels(unknown, 100 * GB)["drill_fit"] == ("unknown", "unknown")


def test_a_whole_plan_needs_room_for_one_more_and_then_goes_on_for_ever() -> None:
    """Each tier takes its new backup before it drops its oldest."""
    assert fits(full_plan(), GB).nights == HORIZON
    assert fits(full_plan(), GB - 1).nights == 0
    assert levels(fits(full_plan(), GB - 1), GB)["retention_fit"] == ("critical", "critical")


def test_a_plan_that_is_still_filling_up_is_simulated_to_its_end() -> None:
    first = [backup("daily", 0, GB)]
    # Nights 2 to 7 fill the daily tier; the weekly one takes its first on the seventh.
    assert fits(first, 5 * GB).nights == 5
    assert fits(first, 6 * GB).nights == 6
    # Four weeks later the weekly tier is full, and each month one more is kept: 6 + 4 + 3, and one
    # in hand.
    assert fits(first, 14 * GB).nights == HORIZON
    assert fits(first, 11 * GB).nights == 30
    assert fits(first, 12 * GB).nights == 60
    assert fits(first, 14 * GB, retention={"daily": 7}).nights == HORIZON
    assert fits(first, 7 * GB, retention={"daily": 7}).nights == HORIZON
    assert fits(first, 7 * GB, retention={"daily": 9}).nights == 7


def test_growth_of_dumps_and_of_the_rest_uses_the_plan_up() -> None:
    whole = full_plan()
    assert fits(whole, 11 * GB, other_growth=GB).nights == 10
    grown = [
        backup(tier, night, GB - night * (GB // 200))  # half a hundredth a night
        for tier, nights in (
            ("daily", range(7)),
            ("weekly", range(1, 23, 7)),
            ("monthly", (20, 50)),
        )
        for night in nights
    ]
    assert fits(grown, 2 * GB).dump_growth == pytest.approx(GB // 200, rel=0.01)
    nights = fits(grown, 2 * GB).nights
    assert nights is not None and 7 < nights < 60
    found = fits(whole, 6 * GB, other_growth=GB)
    assert found.nights == 5
    assert levels(found, 6 * GB)["retention_fit"] == ("warning", "warning")
    assert levels(found, 6 * GB, warn_nights=5)["retention_fit"] == ("ok", "warning")
    assert levels(found, 6 * GB, warn_nights=3)["retention_fit"] == ("ok", "ok")
