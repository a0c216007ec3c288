"""Simulated disks whose future is known: what is forecast of them, beside other rules.

Each history is one disk, measured every six hours, up to the moment at which it reaches the
emergency threshold (90 %), or 90 days long where it never does. The other rules are node_exporter's
(`predict_linear` over 6 hours with 24 hours ahead, and over 7 days with 7 days ahead, both only
when 60 % are used, as its mixin does), which get a measurement every hour, and a plain threshold of
80 %.

A fill is foretold when a warning is in force as it happens; its lead is since when, with
interruptions of up to a day. A warning is false where no fill follows within 14 days.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import random
import statistics
from collections.abc import Callable

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import forecast

HOUR = 3600.0
EMERGENCY, FULL, AHEAD = 90.0, 100.0, 7.0
LONGEST, EACH = 90, 35
LIMITS = {"warning": 70.0, "critical": 80.0, "emergency": EMERGENCY, "full": FULL}
# The median lead on every kind, days, and how many disk-days there are for one false warning.
LEAST_LEAD, DAYS_PER_FALSE = 5.0, 2000
# What an episode may be interrupted by, and how long before a fill it may begin, days.
INTERRUPTED, EARLY = 1.0, 14.0

# Percent used at an hour, given the hour.
Disk = Callable[[int], float]


# When a disk would have filled, had nobody deleted anything: a warning before that is right.
PREVENTED: dict[random.Random, int] = {}


def calm(rng: random.Random) -> Disk:
    """Nothing happens but noise."""
    level, noise = rng.uniform(20, 85), rng.uniform(0, 0.6)
    return lambda hour: level + rng.uniform(-noise, noise)


def steady(rng: random.Random) -> Disk:
    """It grows from the first day on."""
    start, rate, noise = rng.uniform(20, 60), rng.uniform(0.5, 4), rng.uniform(0, 0.6)
    return lambda hour: start + rate * hour / 24 + rng.uniform(-noise, noise)


def calm_then_leak(rng: random.Random) -> Disk:
    """Three weeks of calm, then 3 to 8 % a day."""
    level, rate, noise = rng.uniform(25, 45), rng.uniform(3, 8), rng.uniform(0, 0.4)
    begins = rng.randint(18 * 24, 30 * 24)
    return lambda hour: level + rate * max(0, hour - begins) / 24 + rng.uniform(-noise, noise)


def nightly(rng: random.Random) -> Disk:
    """A dump is there for some hours each night."""
    level, size, lasts = rng.uniform(30, 68), rng.uniform(3, 15), rng.randint(2, 9)
    return lambda hour: level + (size if 2 <= hour % 24 < 2 + lasts else 0) + rng.uniform(0, 0.3)


def weekly(rng: random.Random) -> Disk:
    """Dumps are added each night and cleaned up once a week."""
    peak, base, phase = rng.uniform(45, 62), rng.uniform(15, 30), rng.randint(0, 167)
    step = (peak - base) / 7
    return lambda hour: base + step * (1 + (hour + phase) % 168 // 24) + rng.uniform(0, 0.3)


def weekly_and_leak(rng: random.Random) -> Disk:
    """The same, and a leak beside it."""
    clean, rate = weekly(rng), rng.uniform(0.4, 1.5)
    return lambda hour: clean(hour) + rate * hour / 24


def monthly(rng: random.Random) -> Disk:
    """It grows for a retention cycle of four to five weeks and is cleaned up."""
    base, height, phase = rng.uniform(25, 50), rng.uniform(15, 28), rng.randint(0, 700)
    length = rng.randint(28 * 24, 35 * 24)
    return lambda hour: base + height * ((hour + phase) % length) / length + rng.uniform(0, 0.5)


def one_deletion(rng: random.Random) -> Disk:
    """It grows all the time; once somebody deletes a lot."""
    start, rate = rng.uniform(35, 60), rng.uniform(0.7, 3)
    at = round((85 - start) / rate * rng.uniform(0.5, 0.95)) * 24
    freed = rng.uniform(10, 30)
    PREVENTED[rng] = round((EMERGENCY - start) / rate * 24)
    return lambda hour: start + rate * hour / 24 - (freed if hour > at else 0) + rng.uniform(0, 0.4)


def jumps(rng: random.Random) -> Disk:
    """Now and then something large is put there or taken away; nothing leaks."""
    level, moments = rng.uniform(30, 55), []
    for _turn in range(rng.randint(2, 6)):
        moments.append((rng.randint(24, LONGEST * 24), rng.uniform(-10, 10)))
    return lambda hour: (
        level + sum(size for at, size in moments if hour >= at) + rng.uniform(0, 0.4)
    )


def working_week(rng: random.Random) -> Disk:
    """It grows by day from Monday to Friday."""
    start, rate, phase = rng.uniform(30, 60), rng.uniform(0.8, 3), rng.randint(0, 6)

    def used(hour: int) -> float:
        days = hour // 24
        worked = sum((day + phase) % 7 < 5 for day in range(days))
        today = min(1.0, max(0.0, (hour % 24 - 8) / 9)) if (days + phase) % 7 < 5 else 0.0
        return start + rate * (worked + today) + rng.uniform(0, 0.3)

    return used


def accelerating(rng: random.Random) -> Disk:
    """It grows faster and faster."""
    start, doubles = rng.uniform(25, 50), rng.uniform(5, 12)
    return lambda hour: start + 0.8 * (2 ** (hour / 24 / doubles) - 1) + rng.uniform(0, 0.3)


def gaps(rng: random.Random) -> Disk:
    """As steady, on a host that is off now and then and whose clock is moved by an hour."""
    grow = steady(rng)
    off = [(begin, begin + rng.randint(12, 120)) for begin in rng.sample(range(2000), 4)]

    def used(hour: int) -> float:
        return math.nan if any(begin <= hour < end for begin, end in off) else grow(hour)

    return used


KINDS = [
    calm, steady, calm_then_leak, nightly, weekly, weekly_and_leak,
    monthly, one_deletion, jumps, working_week, accelerating, gaps,
]  # fmt: skip


@dataclasses.dataclass
class History:
    """One disk.

    Attributes:
        points: hour and percent used, every hour that it was measured; to its end.
        fill: the hour at which it reached the emergency threshold; None where it did not.
        prevented: the hour at which it would have without a deletion.
    """

    points: list[tuple[int, float]]
    fill: int | None
    prevented: int | None


def history(kind: Callable[[random.Random], Disk], seed: int) -> History:
    rng = random.Random(f"{kind.__name__} {seed}")
    disk = kind(rng)
    prevented = PREVENTED.get(rng)
    points: list[tuple[int, float]] = []
    for hour in range(LONGEST * 24):
        used = disk(hour)
        if math.isnan(used):
            continue
        points.append((hour, max(0.0, used)))
        if used >= EMERGENCY:
            return History(points, hour, prevented)
    return History(points, None, prevented)


def by_forecast(disk: History) -> list[tuple[int, bool]]:
    """When the monitor's forecast warned: the hour of each run, and whether it did."""
    points, warned, kept = [], [], False
    for hour, used in disk.points:
        if hour % 6:
            continue
        # The clock is moved in the night of the 40th day.
        points.append((hour * HOUR + (HOUR if hour > 40 * 24 else 0), used))
        recent = points[-4 * int(forecast.CYCLE_DAYS) :]
        found = forecast.forecast(recent, LIMITS, FULL, points[-1][0])
        now, lasting = forecast.warns(found, used, EMERGENCY, AHEAD)
        kept = now or (kept and lasting)
        warned.append((hour, kept))
    return warned


def by_predict_linear(window: int, ahead: int) -> Callable[[History], list[tuple[int, bool]]]:
    def judge(disk: History) -> list[tuple[int, bool]]:
        warned, first = [], 0
        n = sx = sy = sxx = sxy = 0.0
        for hour, used in disk.points:
            n, sx, sy, sxx, sxy = n + 1, sx + hour, sy + used, sxx + hour * hour, sxy + hour * used
            while disk.points[first][0] < hour - window:
                x, y = disk.points[first]
                n, sx, sy, sxx, sxy = n - 1, sx - x, sy - y, sxx - x * x, sxy - x * y
                first += 1
            below = n * sxx - sx * sx
            slope = (n * sxy - sx * sy) / below if n > 1 and below > 0 else 0.0
            then = (sy - slope * sx) / n + slope * (hour + ahead)
            warned.append((hour, then >= EMERGENCY and used >= 60))
        return warned

    return judge


def by_threshold(disk: History) -> list[tuple[int, bool]]:
    return [(hour, used >= 80) for hour, used in disk.points]


RULES: dict[str, Callable[[History], list[tuple[int, bool]]]] = {
    "forecast": by_forecast,
    "predict_linear 6 h": by_predict_linear(6, 24),
    "predict_linear 7 d": by_predict_linear(168, 168),
    "threshold 80 %": by_threshold,
}


@dataclasses.dataclass
class Score:
    """How one rule did on the disks of one kind; leads in days."""

    fills: int = 0
    leads: list[float] = dataclasses.field(default_factory=list)
    false: int = 0
    days: float = 0.0

    def add(self, disk: History, warned: list[tuple[int, bool]]) -> None:
        self.days += disk.points[-1][0] / 24
        episodes: list[list[int]] = []
        for hour, warns in warned:
            if not warns:
                continue
            if episodes and hour - episodes[-1][1] <= INTERRUPTED * 24:
                episodes[-1][1] = hour
            else:
                episodes.append([hour, hour])
        if disk.fill is not None:
            self.fills += 1
            before = [one for one in episodes if one[0] < disk.fill]
            if before and disk.fill - before[-1][1] <= INTERRUPTED * 24:
                self.leads.append((disk.fill - before[-1][0]) / 24)
        for begin, _end in episodes:
            fills = [hour for hour in (disk.fill, disk.prevented) if hour is not None]
            if not any(0 <= hour - begin <= EARLY * 24 for hour in fills):
                self.false += 1

    @property
    def lead(self) -> float:
        return statistics.median(self.leads) if self.leads else 0.0


def scores(
    disks: dict[str, list[History]], rule: Callable[[History], list[tuple[int, bool]]]
) -> dict[str, Score]:
    found = {}
    for kind, histories in disks.items():
        found[kind] = score = Score()
        for disk in histories:
            score.add(disk, rule(disk))
    return found


def table(found: dict[str, dict[str, Score]]) -> str:
    lines = [f"{'':15}" + "".join(f"{name:>22}" for name in found)]
    for kind in KINDS:
        cells = []
        for name in found:
            score = found[name][kind.__name__]
            lead = f"{len(score.leads)}/{score.fills} {score.lead:4.1f} d" if score.fills else "-"
            cells.append(f"{lead}{score.false:3} false")
        lines.append(f"{kind.__name__:15}" + "".join(f"{cell:>22}" for cell in cells))
    for name, by_kind in found.items():
        false = sum(score.false for score in by_kind.values())
        days = sum(score.days for score in by_kind.values())
        foretold = sum(len(score.leads) for score in by_kind.values())
        fills = sum(score.fills for score in by_kind.values())
        lines.append(
            f"{name}: {foretold} of {fills} fills foretold, {false} false in {days:.0f} disk-days"
        )
    return "\n".join(lines)


def shortfalls(found: dict[str, dict[str, Score]]) -> list[str]:
    """Return where the forecast does less than it promises."""
    own, wanting = found["forecast"], []
    for kind, score in own.items():
        rivals = [found[name][kind] for name in found if name.startswith("predict_linear")]
        best = max((len(rival.leads) for rival in rivals), default=0)
        if len(score.leads) < best:
            wanting.append(f"{kind}: {len(score.leads)} fills foretold, by another rule {best}")
        if score.leads and score.lead < LEAST_LEAD:
            wanting.append(f"{kind}: foretold {score.lead:.1f} days before")
    false, days = sum(one.false for one in own.values()), sum(one.days for one in own.values())
    if false * DAYS_PER_FALSE > days:
        wanting.append(f"{false} false warnings in {days:.0f} disk-days")
    return wanting


@functools.cache
def disks(kind: Callable[[random.Random], Disk]) -> list[History]:
    return [history(kind, seed) for seed in range(EACH)]


def test_the_forecast_beside_other_rules() -> None:
    every = {kind.__name__: disks(kind) for kind in KINDS}
    found = {name: scores(every, rule) for name, rule in RULES.items()}
    print(f"\n{len(KINDS) * EACH} histories of {len(KINDS)} kinds\n{table(found)}")
    assert shortfalls(found) == []


@pytest.mark.parametrize(
    ("name", "value", "kind", "wanting"),
    [
        # Every day of a leak is a jump.
        ("MOST_STEP", 0.0, calm_then_leak, "fills foretold"),
        # No clean-up repeats.
        ("CYCLE_STEPS", 1e9, weekly_and_leak, "false warnings"),
        # Whatever grows warns, from the first day on.
        ("YOUNG_SHARE", 0.0, weekly, "false warnings"),
        # The latest days are never taken alone.
        ("RECENT_DAYS", (), accelerating, "days before"),
    ],
)
def test_a_forecast_that_lacks_a_part_falls_short(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
    kind: Callable[[random.Random], Disk],
    wanting: str,
) -> None:
    monkeypatch.setattr(forecast, name, value)
    some = {kind.__name__: disks(kind)}
    found = {rule: scores(some, judge) for rule, judge in RULES.items()}
    assert any(wanting in line for line in shortfalls(found)), table_of(found, kind)


def table_of(found: dict[str, dict[str, Score]], kind: Callable[[random.Random], Disk]) -> str:
    return str({name: by_kind[kind.__name__] for name, by_kind in found.items()})
