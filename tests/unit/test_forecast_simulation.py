"""Simulated disks whose future is known: what is forecast of them, beside other rules.

Each history is one disk (`support/simulated_disks.py`), which the monitor measures every six hours.
The other rules are node_exporter's (`predict_linear` over 6 hours with 24 hours ahead, and over 7
days with 7 days ahead, both only when 60 % are used, as its mixin does), which get a measurement
every hour, and a plain threshold of 80 %.

Half of the disks are of seeds that the method was chosen by, half of seeds that it never saw.

A fill is foretold when a warning is in force as it happens; its lead is since when, with
interruptions of up to a day. A warning is false where no fill follows within 14 days.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import statistics
from collections.abc import Callable

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import (
    forecast,
    growth_patterns,
)
from support.simulated_disks import (
    EARLY,
    EMERGENCY,
    KINDS,
    Disk,
    History,
    accelerating,
    burst,
    by_hand,
    calm_then_leak,
    history,
    monthly_and_leak,
    sudden,
    weekly_and_leak,
    weekly_high,
    weekly_stairs,
)
from support.thorough import rounds

MODULES = (forecast, growth_patterns)
HOUR = 3600.0
FULL, AHEAD = 100.0, 7.0
# Disks of each kind: of seeds that the method was chosen by, and of others.
KNOWN_SEEDS = range(2000, 2000 + rounds(8, 40))
OTHER_SEEDS = range(10_000, 10_000 + rounds(8, 40))
LIMITS = {"warning": 70.0, "critical": 80.0, "emergency": EMERGENCY, "full": FULL}
# The median lead on every kind, days, and how many disk-days there are for one false warning.
LEAST_LEAD, DAYS_PER_FALSE = 5.0, 2000
# What an episode may be interrupted by, days.
INTERRUPTED = 1.0
# Growth allows a lead where a disk takes so many days from 60 % to the emergency threshold.
ROOM_FROM, ROOM_DAYS = 60.0, 7.0


def by_forecast(disk: History) -> list[tuple[int, bool]]:
    """When the monitor's forecast warned: the hour of each run, and whether it did.

    A warning stays in force while the host is off: nobody was notified that it is over.
    """
    points, warned, kept = [], [], False
    measured = dict(disk.points)
    for hour in range(0, disk.points[-1][0] + 1, 6):
        used = measured.get(hour)
        if used is None:
            warned.append((hour, kept))
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
    """How one rule did on the disks of one kind; leads in days.

    Attributes:
        fills: how many disks filled.
        leads: of those that were foretold.
        roomy: of those among them that allow a lead, with 0 where it was not foretold.
        false: how many warnings were.
        days: for which the disks were watched.
    """

    fills: int = 0
    leads: list[float] = dataclasses.field(default_factory=list)
    roomy: list[float] = dataclasses.field(default_factory=list)
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
            lead = 0.0
            if before and disk.fill - before[-1][1] <= INTERRUPTED * 24:
                lead = (disk.fill - before[-1][0]) / 24
                self.leads.append(lead)
            # The latest time from which on it was never below again.
            above = next((hour for hour, used in reversed(disk.points) if used < ROOM_FROM), 0)
            if disk.fill - above >= ROOM_DAYS * 24:
                self.roomy.append(lead)
        for begin, _end in episodes:
            fills = [hour for hour in (disk.fill, disk.prevented) if hour is not None]
            if not any(0 <= hour - begin <= EARLY * 24 for hour in fills):
                self.false += 1

    def join(self, other: Score) -> None:
        self.fills, self.false = self.fills + other.fills, self.false + other.false
        self.days += other.days
        self.leads += other.leads
        self.roomy += other.roomy

    @property
    def lead(self) -> float:
        return statistics.median(self.leads) if self.leads else 0.0

    @property
    def roomy_lead(self) -> float | None:
        return statistics.median(self.roomy) if self.roomy else None


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
    """Fills foretold of all, the median lead, that where growth allows one, false warnings."""
    lines = [f"{'':20}" + "".join(f"{name:>27}" for name in found)]
    for kind in KINDS:
        cells = []
        for name in found:
            score = found[name][kind.__name__]
            roomy = "   -" if score.roomy_lead is None else f"{score.roomy_lead:4.1f}"
            lead = f"{len(score.leads)}/{score.fills} {score.lead:4.1f} {roomy} d"
            cells.append(f"{lead if score.fills else '-'}{score.false:3} false")
        lines.append(f"{kind.__name__:20}" + "".join(f"{cell:>27}" for cell in cells))
    return "\n".join([*lines, totals(found)])


def totals(found: dict[str, dict[str, Score]]) -> str:
    """Fills and false warnings of all kinds together."""
    lines = []
    for name, by_kind in found.items():
        false = sum(score.false for score in by_kind.values())
        days = sum(score.days for score in by_kind.values())
        foretold = sum(len(score.leads) for score in by_kind.values())
        fills = sum(score.fills for score in by_kind.values())
        lines.append(
            f"{name}: {foretold} of {fills} fills foretold, {false} false in {days:.0f} disk-days"
            + (f" (1 in {days / false:.0f})" if false else "")
        )
    return "\n".join(lines)


def shortfalls(found: dict[str, dict[str, Score]]) -> list[str]:
    """Return where the forecast does less than it promises."""
    own, wanting = found["forecast"], []
    for kind, score in own.items():
        rivals = [found[name][kind] for name in found if name != "forecast"]
        best = max((len(rival.leads) for rival in rivals), default=0)
        if len(score.leads) < best:
            wanting.append(f"{kind}: {len(score.leads)} fills foretold, by another rule {best}")
        if score.roomy_lead is not None and score.roomy_lead < LEAST_LEAD:
            wanting.append(f"{kind}: foretold {score.roomy_lead:.1f} days before")
    false, days = sum(one.false for one in own.values()), sum(one.days for one in own.values())
    if false * DAYS_PER_FALSE > days:
        wanting.append(f"{false} false warnings in {days:.0f} disk-days")
    return wanting


@functools.cache
def disks(kind: Callable[[random.Random], Disk], seeds: range) -> list[History]:
    return [history(kind, seed) for seed in seeds]


def joined(*groups: dict[str, dict[str, Score]]) -> dict[str, dict[str, Score]]:
    """The scores of several groups of disks as of one."""
    found: dict[str, dict[str, Score]] = {}
    for group in groups:
        for rule, by_kind in group.items():
            for kind, score in by_kind.items():
                found.setdefault(rule, {}).setdefault(kind, Score()).join(score)
    return found


def test_the_forecast_beside_other_rules() -> None:
    groups = []
    for name, seeds in (("chosen by", KNOWN_SEEDS), ("never seen", OTHER_SEEDS)):
        every = {kind.__name__: disks(kind, seeds) for kind in KINDS}
        groups.append({rule: scores(every, judge) for rule, judge in RULES.items()})
        print(f"\n{len(KINDS) * len(seeds)} histories, seeds {name}\n{totals(groups[-1])}")
    found = joined(*groups)
    print(f"\nall of {len(KINDS)} kinds\n{table(found)}")
    assert len(KINDS) * (len(KNOWN_SEEDS) + len(OTHER_SEEDS)) >= 400
    assert shortfalls(found) == []


@pytest.mark.parametrize(
    ("name", "value", "kind", "wanting"),
    [
        # Every day of a leak is a jump.
        ("forecast.MOST_STEP", 0.0, calm_then_leak, "fills foretold"),
        # No clean-up repeats.
        ("growth_patterns.CYCLE_STEPS", 1e9, weekly_and_leak, "false warnings"),
        # No clean-up comes at a like interval.
        ("growth_patterns.LIKE", 1.0, monthly_and_leak, "days before"),
        # No week adds anything.
        ("growth_patterns.LEAST_WEEKS", 99, weekly_stairs, "fills foretold"),
        # A rise is nothing new.
        ("growth_patterns.UNSEEN", 99.0, sudden, "fills foretold"),
        # Whatever grows in the first week warns.
        ("forecast.WEEKLY_DAYS", 0.0, weekly_high, "false warnings"),
        # Clean-ups by hand do not come again.
        ("forecast.CLEANED_SHARE", 0.0, by_hand, "false warnings"),
        # What is put there within two days grows on.
        ("forecast.NEW_DAYS", 0.0, burst, "false warnings"),
        # The latest days are never taken alone.
        ("forecast.RECENT_DAYS", (), accelerating, "days before"),
    ],
)
def test_a_forecast_that_lacks_a_part_falls_short(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: object,
    kind: Callable[[random.Random], Disk],
    wanting: str,
) -> None:
    module, _dot, constant = name.partition(".")
    monkeypatch.setattr(
        {m.__name__.rpartition(".")[2]: m for m in MODULES}[module], constant, value
    )
    some = {kind.__name__: disks(kind, KNOWN_SEEDS) + disks(kind, OTHER_SEEDS)}
    found = {rule: scores(some, judge) for rule, judge in RULES.items()}
    assert any(wanting in line for line in shortfalls(found)), table_of(found, kind)


def table_of(found: dict[str, dict[str, Score]], kind: Callable[[random.Random], Disk]) -> str:
    return str({name: by_kind[kind.__name__] for name, by_kind in found.items()})
