"""The forecast on made-up disks whose future is known."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import forecast
from ansible_collections.chefwell.resilience.plugins.module_utils.disk.forecast import DAY, Forecast

NOW = 1_780_000_000.0
LIMITS = {"critical": 80.0, "emergency": 90.0, "full": 100.0}


def forecast_of(amounts: list[float], hours: float = 6, now: float = NOW) -> Forecast:
    """The forecast for samples that end now."""
    last = len(amounts) - 1
    points = [(NOW - (last - n) * hours * 3600, amount) for n, amount in enumerate(amounts)]
    return forecast.forecast(points, LIMITS, 100.0, now)


def grown(start: float, a_day: float, days: float, noise: float = 0.0) -> list[float]:
    """Samples every six hours."""
    rng = random.Random(7)
    count = round(days * 4) + 1
    return [start + a_day * n / 4 + rng.uniform(-noise, noise) for n in range(count)]


def test_steady_growth() -> None:
    found = forecast_of(grown(30, 2, 10))
    assert (found.status, found.confidence) == ("growing", "high")
    assert found.per_day == pytest.approx(2)
    assert found.days_to == pytest.approx({"critical": 15, "emergency": 20, "full": 25})
    assert found.days_to_full_early == pytest.approx(25) == found.days_to_full_late


def test_noise_widens_the_range_and_keeps_the_middle() -> None:
    found = forecast_of(grown(30, 1, 14, noise=1.5))
    assert found.per_day == pytest.approx(1, abs=0.1)
    assert found.per_day_low < found.per_day < found.per_day_high
    assert found.days_to_full_early < found.days_to["full"] < found.days_to_full_late
    assert found.confidence == "high"


def test_noise_alone_is_no_growth_to_alert_on() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        found = forecast_of([50 + rng.uniform(-2, 2) for _turn in range(60)])
        assert found.confidence in (None, "low") or found.days_to["emergency"] > 60


def test_a_clean_up_starts_anew() -> None:
    before, after = grown(40, 2, 15), grown(20, 2, 5)
    found = forecast_of(before + after)
    assert found.per_day == pytest.approx(2)
    assert found.samples == len(after)
    assert found.days_to["full"] == pytest.approx(35)
    # A line through all of it would fall.
    whole = [(float(n), amount) for n, amount in enumerate(before + after)]
    assert (whole[-1][1] - whole[0][1]) < 0


def test_just_after_a_clean_up_there_is_not_enough_data() -> None:
    found = forecast_of(grown(40, 2, 15) + grown(20, 2, 1))
    assert (found.status, found.confidence) == ("not enough data", None)
    assert found.days_to == {}


def test_one_jump_is_not_growth() -> None:
    found = forecast_of(grown(30, 0.5, 12) + grown(60, 0.5, 8))
    assert found.per_day == pytest.approx(0.5)
    assert found.days_to["full"] == pytest.approx(72)


def test_a_large_dump_every_night_is_growth_and_no_row_of_jumps() -> None:
    amounts = [30 + 3.0 * (n // 4) for n in range(60)]
    found = forecast_of(amounts)
    assert found.per_day == pytest.approx(3, rel=0.1)
    assert found.confidence == "high"


def test_what_comes_and_goes_every_night_does_not_matter() -> None:
    amounts = [amount + (8 if n % 4 == 1 else 0) for n, amount in enumerate(grown(30, 1, 14))]
    found = forecast_of(amounts)
    assert found.per_day == pytest.approx(1, rel=0.1)


def test_standing_still_and_shrinking() -> None:
    assert forecast_of([50.0] * 60).status == "not growing"
    shrinking = forecast_of(grown(80, -1, 10))
    assert shrinking.status == "not growing"
    assert shrinking.days_to["full"] is None


def test_what_is_reached_is_reached() -> None:
    assert forecast_of(grown(75, 1, 10)).days_to["critical"] == 0


@pytest.mark.parametrize("amounts", [[], [50.0], [50.0] * 7, grown(30, 2, 1.75)])
def test_not_enough_data(amounts: list[float]) -> None:
    assert forecast_of(amounts).status == "not enough data"


def test_a_clock_that_went_back_leaves_not_enough_data_and_no_nonsense() -> None:
    # The clock was a year ahead, was set right, and two runs were made since.
    ahead = [(NOW + 365 * DAY + n * 6 * 3600, 30 + n / 2) for n in range(80)]
    since = [(NOW - 6 * 3600, 70.0), (NOW, 70.5)]
    found = forecast.forecast(ahead + since, LIMITS, 100.0, NOW)
    assert (found.status, found.samples) == ("not enough data", 2)


def test_many_samples_are_thinned_with_the_same_result() -> None:
    often = [30 + 2 * n / 288 for n in range(288 * 20)]  # every five minutes for 20 days
    found = forecast_of(often, hours=1 / 12)
    assert found.samples == len(often)
    assert found.per_day == pytest.approx(2, rel=0.01)
    assert found.days_to["full"] == pytest.approx((100 - often[-1]) / 2, rel=0.01)


def test_two_percent_a_day_is_predicted_five_days_before_ninety() -> None:
    warned = []
    for day in range(2, 31):
        percent = 30 + 2 * day
        found = forecast_of(grown(30, 2, day, noise=0.3))
        if found.confidence in ("medium", "high") and found.days_to["emergency"] <= 7:
            warned.append(percent)
    assert warned[0] <= 90 - 2 * 5
    assert warned == list(range(warned[0], 92, 2))  # and does not fall silent again


def _cleaned_up(day: int, noise: float) -> list[float]:
    """Grown to 86, cleaned up to 62, grown again for so many days."""
    return [*grown(46, 2, 20, noise)[:-1], *grown(62, 2, day, noise)]


def _jumped(day: int, noise: float) -> list[float]:
    """Grown to 50, 12 put there at once, grown on for so many days."""
    return [*grown(30, 2, 10, noise)[:-1], *grown(62, 2, day, noise)]


def _dumps_come_and_go(day: int, noise: float) -> list[float]:
    """Each night a dump of 5 lies there that is gone by the next look."""
    held = grown(62 - 20, 2, day + 10, noise)
    return [amount + (5 if run % 4 == 1 else 0) for run, amount in enumerate(held)]


def _steadily(day: int, noise: float) -> list[float]:
    return grown(42, 2, day + 10, noise)


@pytest.mark.parametrize("story", [_steadily, _cleaned_up, _jumped, _dumps_come_and_go])
@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8])
def test_the_promise_holds_whatever_came_before(
    story: Callable[[int, float], list[float]], noise: float
) -> None:
    """2 % a day from 62 %: it warns at 80 % at the latest, 5 days before 90 %, and goes on."""
    warned = []
    for day in range(15):
        found = forecast_of(story(day, noise))
        if found.confidence in ("medium", "high") and 0 < found.days_to["emergency"] <= 7:
            warned.append(62 + 2 * day)
    print(f"\n{story.__name__}, noise {noise}: warned at {warned}")
    assert warned[0] <= 80
    # From then on every day; at 90 % the level itself warns.
    assert {*range(warned[0], 89, 2)} <= {*warned}


def test_the_promise_is_broken_by_a_forecast_that_waits_for_two_weeks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The test above fails for a forecast that warns too late."""
    monkeypatch.setattr(forecast, "LEAST_DAYS", 14.0)
    with pytest.raises((AssertionError, IndexError)):
        test_the_promise_holds_whatever_came_before(_cleaned_up, 0.0)


@pytest.mark.parametrize("limits", [LIMITS, {"full": 100.0}])
def test_there_is_a_forecast_of_whatever_a_history_holds(limits: dict[str, float]) -> None:
    """Gaps, repeated moments, jumps, clean-ups, and disks of which nothing is to be had."""
    for seed in range(300):
        rng = random.Random(seed)
        moment, amount, points = NOW - 60 * DAY, rng.uniform(0, 100), list[tuple[float, float]]()
        for _turn in range(rng.randint(0, 60)):
            moment += rng.choice([0, 300, 21600, 21600, 21600, 86400, 604800])
            change = rng.choice([0, 0, rng.uniform(-3, 5), rng.uniform(-3, 5), -20, 30])
            amount = max(0.0, min(100.0, amount + change))
            points.append((moment, amount))
        found = forecast.forecast(points, limits, rng.choice([0.0, 100.0, 1e9]), moment)
        assert found.status in ("growing", "not growing", "not enough data")
        days = [one for one in found.days_to.values() if one is not None]
        assert all(0 <= one < float("inf") for one in days), (seed, found)
        forecast.warns(found, amount, 90.0, 7.0)
