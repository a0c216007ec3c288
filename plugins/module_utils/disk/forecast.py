# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something that grows will be full, from what it held at earlier times. Pure.

Method. The samples since the last break are taken; a break is a clean-up or a jump: a day whose
change stands out from the other days' (more than six scaled median absolute deviations and more
than 2 % of what there is), or a day that frees more than 2 % of it. Of more than 30 every second,
third ... one is taken, counted back from the latest: with four samples a day that is one a day, at
the same hour. The growth is the median of the slopes between all pairs (Theil 1950, Sen 1968),
which stays right while up to 29 % of them are off, so nightly files that come and go do not matter.
The range is Sen's 95 % interval of the same slopes. It takes samples for independent, which those
of a disk are not quite, so the confidence asks for more than the interval alone:

- high: a week of data, the whole interval is growth, no wider than half the growth itself, and the
  later half of the data grows at a rate that differs by less than half;
- medium: the whole interval is growth, and the later half grows too;
- low: anything else that grows.

Without eight samples over two days since the last break there is not enough data.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

GROWING, NOT_GROWING, NOT_ENOUGH_DATA = "growing", "not growing", "not enough data"
HIGH, MEDIUM, LOW = "high", "medium", "low"
DAY = 86400.0
LEAST_SAMPLES = 8
LEAST_DAYS = 2.0
WINDOW_DAYS = 30.0  # the time that is looked back on
# How many samples the slopes are taken from at most: their pairs grow by the square, and a run of
# the monitor does this for bytes and inodes of every target.
MOST_SAMPLES = 30
BREAK_SHARE = 0.02
BREAK_DEVIATIONS = 6.0
# Median absolute deviation to standard deviation, normal distribution.
MAD_SCALE = 1.4826
# 97.5 % quantile of the normal distribution: a 95 % interval.
Z = 1.959964

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What is to be expected.

    Attributes:
        status: `growing`, `not growing` or `not enough data`.
        per_day: growth in a day, in the unit of the samples; None without enough data.
        per_day_low, per_day_high: its range.
        days_to: days until each limit, by its name; 0 when it is reached already, None when it
            will not be.
        days_to_full_early, days_to_full_late: the same for `full` at either end of the range.
        confidence: `high`, `medium` or `low`; None unless it grows.
        samples: how many were used.
        days: how long a time they cover.
    """

    status: str
    per_day: float | None = None
    per_day_low: float | None = None
    per_day_high: float | None = None
    days_to: dict[str, float | None] = dataclasses.field(default_factory=dict)
    days_to_full_early: float | None = None
    days_to_full_late: float | None = None
    confidence: str | None = None
    samples: int = 0
    days: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def forecast(
    points: Sequence[Point], limits: Mapping[str, float], usable: float, now: float
) -> Forecast:
    """When what was sampled reaches its limits.

    Args:
        points: time (seconds since 1970) and amount, in order. Those later than `now` are left out:
            they were written before the clock was set back.
        limits: amounts by name, `full` among them.
        usable: how much there is to be had; what counts as a break depends on it.
        now: seconds since 1970.
    """
    first = now - WINDOW_DAYS * DAY
    window = [point for point in points if first < point[0] <= now]
    recent = window[last_break(window, usable) :] if window else []
    days = (recent[-1][0] - recent[0][0]) / DAY if recent else 0.0
    if len(recent) < LEAST_SAMPLES or days < LEAST_DAYS:
        return Forecast(NOT_ENOUGH_DATA, samples=len(recent), days=round(days, 2))
    few = recent[:: -math.ceil(len(recent) / MOST_SAMPLES)][::-1]
    slope, low, high = slopes(few)
    amount = recent[-1][1]
    known = Forecast(
        NOT_GROWING,
        per_day=slope * DAY,
        per_day_low=low * DAY,
        per_day_high=high * DAY,
        samples=len(recent),
        days=round(days, 2),
    )

    def days_until(limit: float, rate: float) -> float | None:
        if amount >= limit:
            return 0.0
        return (limit - amount) / rate / DAY if rate > 0 else None

    reached = {name: days_until(limit, slope) for name, limit in limits.items()}
    # Less than a thousandth of it in a month is standing still.
    if slope * DAY * WINDOW_DAYS < usable / 1000:
        return dataclasses.replace(known, days_to=reached)
    return dataclasses.replace(
        known,
        status=GROWING,
        days_to=reached,
        days_to_full_early=days_until(limits["full"], high),
        days_to_full_late=days_until(limits["full"], low),
        confidence=_confidence(few, slope, low, high, days),
    )


def _confidence(points: Sequence[Point], slope: float, low: float, high: float, days: float) -> str:
    later = [point for point in points if point[0] >= points[-1][0] - days * DAY / 2]
    rate = slopes(later)[0] if len(later) > 2 else 0.0
    if low <= 0 or rate <= 0:
        return LOW
    steady = (high - low) <= slope / 2 and abs(rate - slope) < slope / 2
    return HIGH if steady and days >= 7 else MEDIUM


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def slopes(points: Sequence[Point]) -> tuple[float, float, float]:
    """The median slope of all pairs, and the ends of its 95 % interval.

    Args:
        points: at least two, with different times.
    """
    count = len(points)
    if all(amount == points[0][1] for _moment, amount in points):
        return 0.0, 0.0, 0.0
    every: list[float] = []
    for index, (moment, amount) in enumerate(points):
        every += [(other - amount) / (later - moment) for later, other in points[index + 1 :]]
    every.sort()
    # Sen 1968: the variance of Kendall's statistic gives the ranks of the interval's ends.
    spread = Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(every) - spread) / 2))
    high = min(len(every) - 1, math.ceil((len(every) + spread) / 2))
    return _median(every), every[low], every[high]


def last_break(points: Sequence[Point], usable: float) -> int:
    """Where the samples after the last clean-up or jump begin; 0 where there was none.

    Args:
        points: in order of time.
        usable: how much there is to be had.
    """
    if all(amount == points[0][1] for _moment, amount in points):
        return 0
    days = _daily(points)
    changes = [
        (points[later][1] - points[earlier][1])
        / max(1.0, round((points[later][0] - points[earlier][0]) / DAY))
        for earlier, later in zip(days, days[1:], strict=False)
    ]
    if not changes:
        return 0
    usual, least = _median(changes), BREAK_SHARE * usable
    deviation = MAD_SCALE * _median([abs(change - usual) for change in changes])
    for index in range(len(changes) - 1, -1, -1):
        change = changes[index]
        stands_out = abs(change - usual) > max(BREAK_DEVIATIONS * deviation, least)
        freed = usual >= 0 and change < -least
        if freed or (stands_out and len(changes) >= 4):
            steps = range(days[index] + 1, days[index + 1] + 1)
            upwards = 1 if change > usual else -1
            return max(steps, key=lambda i: upwards * (points[i][1] - points[i - 1][1]))
    return 0


def _daily(points: Sequence[Point]) -> list[int]:
    """Indexes of the last sample of each day, counted back from the last sample."""
    latest = points[-1][0]
    last = {(latest - point[0]) // DAY: index for index, point in enumerate(points)}
    return sorted(last.values())
