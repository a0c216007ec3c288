# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts of when something that grows will be full, from its earlier samples.

Nothing is measured here.

Method. The samples since the last break are taken; a break is a clean-up or a jump: a day whose
change stands out from the other days' (more than six scaled median absolute deviations and more
than 2 % of what there is), or a day that frees more than three of them and 2 %. Days up to the
present one that all stand out upwards, in many steps and not in one, are no jumps: growth has begun
with the first of them; it is believed for twice as long as it lasts beyond two days, and no longer
once it has ended: what is put there within two days is no growth. Where the latest days grow faster
than all of them do, and their ranges do not touch, they alone are taken. Of more than 30 samples
every second, third ... one is taken, counted back from the latest: with four samples a day that is
one a day, at the same hour. The growth is the median of the slopes between all pairs (Theil 1950,
Sen 1968), which stays right while up to 29 % of them are off, so that nightly files that come and
go do not matter. The range is Sen's 95 % interval of the same slopes. It takes samples for
independent, which those of a disk are not quite, so the confidence requires more than the interval
alone:

- high: a week of data, the whole interval is growth, no wider than half the growth itself, and the
  later half of the data grows at a rate that differs by less than half;
- medium: the whole interval is growth, and the later half grows by a third of it at least;
- low: anything else that grows.

Patterns (`growth_patterns`) that a line does not show:

- Where clean-ups repeat at like intervals (each night, each week, each retention cycle), the last
  cycle is expected again, higher by what the peaks gain. Its confidence is medium from three peaks
  on, from two where the present cycle is higher than the last one, too.
- A disk that was cleaned up before, but not so regularly, may be cleaned up again: its growth has a
  low confidence until it holds more than the clean-ups before let expect (Student's t), and most of
  the emergency threshold. So has that of a disk which one clean-up took back to where it began.
- Growth in one step a day is that of nightly dumps, which are often cleaned up each week: in the
  first eight days it has a low confidence.
- Where each week adds about as much, the growth is that of the weeks.
- A rise such as the disk has not had before, which has not slowed down, is expected to go on for a
  day.

Whatever the clean-ups before, a limit that is a day away is near.

Without eight samples over two days since the last break there is not enough data.

`tests/unit/test_forecast_simulation.py` compares it with other rules on simulated disks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import growth_patterns
from .growth_patterns import BREAK_SHARE, DAY, Point, Rise, median, steps

GROWING, NOT_GROWING, NOT_ENOUGH_DATA = "growing", "not growing", "not enough data"
HIGH, MEDIUM, LOW = "high", "medium", "low"
LEAST_SAMPLES = 8
LEAST_DAYS = 2.0
WINDOW_DAYS = 30.0  # the time that is looked back on
# How many samples the slopes are taken from at most: their pairs grow by the square, and a run of
# the monitor does this for bytes and inodes of every target.
MOST_SAMPLES = 30
# The latest days that are taken alone where they grow faster than all of them do.
RECENT_DAYS = (2.5, 5.0)
BREAK_DEVIATIONS, FREED_DEVIATIONS = 6.0, 3.0
# The time in which clean-ups that repeat are looked for.
CYCLE_DAYS = 90.0
# A warning needs this share of the limit to be used already, and the larger one while the history
# is shorter than `YOUNG_DAYS`: a clean-up that repeats cannot be known before it came twice. So
# short a history is also believed for no longer than `YOUNG_AHEAD` times what it lasts.
LEAST_SHARE, YOUNG_SHARE = 2 / 3, 3 / 4
YOUNG_DAYS, YOUNG_AHEAD = 14.0, 2.5
# Growth in nightly steps is not believed before a week and a day are known.
WEEKLY_DAYS = 8.0
# Until a month is known, and where the disk was cleaned up before, a warning looks less far ahead.
MONTH_DAYS, LESS_AHEAD = 28.0, 0.78
# A limit that is so many days away is near, whatever was cleaned up before.
SOON = 1.0
# A clean-up takes a disk back to where it began where it ends no further from there than this share
# of what had come.
RESET = 0.15
# Growth that began lately is believed for twice as long as it has lasted beyond these days.
NEW_DAYS = 2.25
# Below this share of the limit growth is not believed where the disk was cleaned up once.
CLEANED_SHARE = 5 / 6
# A clean-up so soon after the first sample is probably one of each week, or each two weeks.
SOON_DAYS = 10.0
# What is recent grows by at least this share of what all of it does: the later half of the samples,
# and of growth that began lately its last day.
LEAST_LATER = 1 / 3
# A run of days that grow is no jump when no single step makes more than this share of it.
MOST_STEP = 0.6
# Median absolute deviation to standard deviation, normal distribution.
MAD_SCALE = 1.4826
# 97.5 % quantile of the normal distribution: a 95 % interval.
Z = 1.959964


class Forecast(NamedTuple):
    """When limits will be reached, as far as the samples show.

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
        history_days: how long a time all samples of the last `CYCLE_DAYS` cover.
        cleaned: whether a clean-up is among these samples.
    """

    status: str
    days_to: dict[str, float | None]
    per_day: float | None = None
    per_day_low: float | None = None
    per_day_high: float | None = None
    days_to_full_early: float | None = None
    days_to_full_late: float | None = None
    confidence: str | None = None
    samples: int = 0
    days: float = 0.0
    history_days: float = 0.0
    cleaned: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict()


def forecast(
    points: Sequence[Point], limits: Mapping[str, float], usable: float, now: float
) -> Forecast:
    """Return when limits will be reached.

    Args:
        points: time (seconds since 1970) and amount, in order, of the last `CYCLE_DAYS`. Those
            later than `now` are left out: they were written before the clock was set back.
        limits: amounts by name, `full` among them.
        usable: how much there is to be had; what counts as a break depends on it.
        now: seconds since 1970.
    """
    # Of two samples of one moment the later one counts: a clock may stand still.
    known = list({p[0]: p for p in points if now - CYCLE_DAYS * DAY < p[0] <= now}.values())
    peaks = growth_patterns.cycle_peaks(known, usable)
    by_cycle = _by_cycle(known, peaks, limits, usable) if peaks else None
    found = by_cycle or _by_growth(known, limits, usable)
    return _sooner(found, known, limits, usable)


def _by_growth(known: Sequence[Point], limits: Mapping[str, float], usable: float) -> Forecast:
    """Return the forecast from the samples since the last break."""
    window = [point for point in known if point[0] > known[-1][0] - WINDOW_DAYS * DAY]
    begin = last_break(window, usable) if window else 0
    recent: Sequence[Point] = window[begin:]
    days = _days(recent)
    if len(recent) < LEAST_SAMPLES or days < LEAST_DAYS:
        return Forecast(
            NOT_ENOUGH_DATA,
            days_to={},
            samples=len(recent),
            days=round(days, 2),
            history_days=round(_days(known), 2),
        )
    growth = slopes(_thinned(recent))
    recent, growth = _faster(recent, growth)
    found = _without_confidence(recent, known, growth, limits, usable, _line(recent[-1][1]))
    if found.status != GROWING:
        return found
    confidence = _confidence(_thinned(recent), *growth, _days(recent))
    first = _first(limits)
    until = found.days_to[first]
    soon = until is not None and until <= SOON
    believed = 2 * (days - NEW_DAYS)
    if begin > 0 and (until is None or until > believed or _ended(recent, growth[0])):
        confidence = LOW
    peaks = growth_patterns.clean_up_peaks(known, usable)
    if not soon and (_dumps(known, recent) or _comes_back(known, peaks, limits[first], usable)):
        confidence = LOW
    return found._replace(confidence=confidence, cleaned=bool(peaks))


def _line(amount: float) -> Callable[[float, float], float | None]:
    """Return what gives the days until a limit, at a growth a second."""

    def days_until(limit: float, rate: float) -> float | None:
        if amount >= limit:
            return 0.0
        return (limit - amount) / rate / DAY if rate > 0 else None

    return days_until


def _first(limits: Mapping[str, float]) -> str:
    """Return the limit that alerts are about: `emergency`, or `full` where there is none."""
    return "emergency" if "emergency" in limits else "full"


def _ended(points: Sequence[Point], slope: float) -> bool:
    """Return whether growth has hardly gone on in the latest day."""
    latest = [point for point in points if point[0] >= points[-1][0] - DAY]
    return latest[-1][1] - latest[0][1] < slope * LEAST_LATER * DAY


def _dumps(known: Sequence[Point], recent: Sequence[Point]) -> bool:
    """Return whether growth may be that of nightly dumps before their first weekly clean-up."""
    return _days(known) < WEEKLY_DAYS and growth_patterns.nightly_steps(recent)


def _comes_back(
    known: Sequence[Point], peaks: Sequence[Point], limit: float, usable: float
) -> bool:
    """Return whether a disk that was cleaned up before may be so again before it is full.

    Args:
        known: all samples.
        peaks: those before clean-ups.
        limit: the one that alerts are about.
        usable: how much there is to be had.
    """
    if not peaks:
        return False
    amount = known[-1][1]
    once = len(peaks) == 1
    if once and _is_reset(known, peaks[0]):
        return True
    known_habit = not once or peaks[0][0] - known[0][0] < SOON_DAYS * DAY
    usual = growth_patterns.next_peak([peak for _moment, peak in peaks], usable)
    return (known_habit and amount <= usual) or amount < CLEANED_SHARE * limit


def _is_reset(points: Sequence[Point], peak: Point) -> bool:
    """Return whether the clean-up after a peak took the disk back to where it began, and the next
    one, which may come after as long a time again, is not overdue."""
    overdue = points[-1][0] - peak[0] > growth_patterns.LIKE * (peak[0] - points[0][0])
    before = min(amount for moment, amount in points if moment <= peak[0])
    after = min(amount for moment, amount in points if moment > peak[0])
    return not overdue and abs(after - before) <= RESET * (peak[1] - before)


def _sooner(
    found: Forecast, known: Sequence[Point], limits: Mapping[str, float], usable: float
) -> Forecast:
    """Return the forecast by weekly steps or by a sudden rise where that is the nearer one."""
    if not known:
        return found
    others: list[tuple[Rise, str]] = []
    first = _first(limits)
    sudden = growth_patterns.sudden_rise(known, usable)
    if sudden:
        within = (limits[first] - known[-1][1]) / sudden.rate <= SOON * DAY
        others.append((sudden, MEDIUM if within else LOW))
    if not growth_patterns.clean_up_peaks(known, usable):
        weekly = growth_patterns.weekly_steps(known, usable)
        if weekly:
            others.append((weekly, MEDIUM))
    for rise, confidence in others:
        other = _without_confidence(known, known, rise, limits, usable, _line(known[-1][1]))
        until, before = other.days_to[first], found.days_to.get(first)
        unsure = found.confidence not in (MEDIUM, HIGH) or before is None
        nearer = before is None or (until is not None and until < before)
        if other.status == GROWING and confidence == MEDIUM and (unsure or nearer):
            found = other._replace(confidence=confidence)
    return found


def _by_cycle(
    known: Sequence[Point], peaks: Sequence[Point], limits: Mapping[str, float], usable: float
) -> Forecast:
    """Return the forecast where clean-ups repeat."""
    few = peaks[-MOST_SAMPLES:]
    growth = slopes(few)
    cycles = {rate: growth_patterns.Cycle(known, peaks, rate, usable) for rate in growth}
    found = _without_confidence(
        known, known, growth, limits, usable, lambda limit, rate: cycles[rate].days_until(limit)
    )
    ahead = cycles[growth[0]]
    least = BREAK_SHARE * usable
    # The cycles need not begin at the same level: only what no peak reached is beyond them.
    excess = ahead.excess > least and known[-1][1] > max(peak for _moment, peak in few)
    if found.status != GROWING and not excess:
        return found
    sure = excess or (growth[1] > 0 and (len(few) > 2 or ahead.confirmed))
    return found._replace(status=GROWING, confidence=MEDIUM if sure else LOW)


def _faster(
    points: Sequence[Point], growth: tuple[float, float, float]
) -> tuple[Sequence[Point], tuple[float, float, float]]:
    """Return the latest samples alone where they grow faster, beyond doubt, than all of them do.

    Args:
        points: all of them.
        growth: of those samples, as `slopes` returns it; the other samples' is returned with these.
    """
    highest = growth[2]
    for days in RECENT_DAYS if highest > 0 else ():
        latest = [point for point in points if point[0] >= points[-1][0] - days * DAY]
        if len(latest) < LEAST_SAMPLES or _days(points) < 2 * days:
            continue
        # The range need not be known where not even the mean is beyond it.
        if latest[-1][1] - latest[0][1] > highest * _days(latest) * DAY:
            faster = slopes(_thinned(latest))
            if faster[1] > highest:
                return latest, faster
    return points, growth


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Return `MOST_SAMPLES` of them at most, at equal distances and with the last one."""
    return points[:: -math.ceil(len(points) / MOST_SAMPLES)][::-1]


def _without_confidence(
    used: Sequence[Point],
    known: Sequence[Point],
    growth: tuple[float, float, float],
    limits: Mapping[str, float],
    usable: float,
    days_until: Callable[[float, float], float | None],
) -> Forecast:
    """Return a forecast without its confidence.

    Args:
        used: the samples that it is made from.
        known: all samples.
        growth: the slope, and the ends of its range, a second.
        limits, usable: as `forecast` takes them.
        days_until: gives the days until a limit at a growth a second.
    """
    slope, low, high = growth
    found = Forecast(
        NOT_GROWING,
        per_day=slope * DAY,
        per_day_low=low * DAY,
        per_day_high=high * DAY,
        days_to={name: days_until(limit, slope) for name, limit in limits.items()},
        samples=len(used),
        days=round(_days(used), 2),
        history_days=round(_days(known), 2),
    )
    # Less than a thousandth of it in a month is standing still.
    if slope * DAY * WINDOW_DAYS < usable / 1000:
        return found
    return found._replace(
        status=GROWING,
        days_to_full_early=days_until(limits["full"], high),
        days_to_full_late=days_until(limits["full"], low),
    )


def _days(points: Sequence[Point]) -> float:
    return (points[-1][0] - points[0][0]) / DAY if points else 0.0


def warns(found: Forecast, amount: float, limit: float, days: float) -> tuple[bool, bool]:
    """Return whether a forecast warns, and whether a warning that is in force lasts.

    Args:
        found: the forecast.
        amount: what is used now.
        limit: that of `emergency`, which comes before full.
        days: within which it must be reached; for one that lasts half as many again.
    """
    until = found.days_to.get("emergency")
    if found.status != GROWING or until is None or until <= 0:
        return False, False
    young = found.history_days < YOUNG_DAYS
    share = YOUNG_SHARE if young else LEAST_SHARE
    # The next run would be too late for what it finds within the days.
    if found.samples > 1:
        days += min(1.0, found.days / (found.samples - 1))
    sure = found.confidence in (MEDIUM, HIGH) and amount >= share * limit
    less = found.history_days < MONTH_DAYS or found.cleaned
    within = days * LESS_AHEAD if less else days
    if young:
        within = min(within, YOUNG_AHEAD * found.days)
    return sure and until <= within, until <= days * 1.5


def _confidence(points: Sequence[Point], slope: float, low: float, high: float, days: float) -> str:
    later = [point for point in points if point[0] >= points[-1][0] - days * DAY / 2]
    rate = slopes(later)[0] if len(later) > 2 else 0.0
    if low <= 0 or rate < slope * LEAST_LATER:
        return LOW
    steady = (high - low) <= slope / 2 and abs(rate - slope) < slope / 2
    return HIGH if steady and days >= 7 else MEDIUM


def slopes(points: Sequence[Point]) -> tuple[float, float, float]:
    """Return the median slope of all pairs, and the ends of its 95 % interval.

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
    return median(every), every[low], every[high]


def last_break(points: Sequence[Point], usable: float) -> int:
    """Return where the samples after the last clean-up or jump begin; 0 where there was none.

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
        for earlier, later in zip(days, days[1:])
    ]
    if not changes:
        return 0
    usual, least = median(changes), BREAK_SHARE * usable
    deviation = MAD_SCALE * median([abs(change - usual) for change in changes])
    for index in range(len(changes) - 1, -1, -1):
        change = changes[index]
        stands_out = abs(change - usual) > max(BREAK_DEVIATIONS * deviation, least)
        freed = usual >= 0 and change < -max(FREED_DEVIATIONS * deviation, least)
        if stands_out and change > usual and index == len(changes) - 1 and len(changes) >= 4:
            begins = _run(changes, usual, max(BREAK_DEVIATIONS * deviation, least))
            if index - begins >= 1 and _spread(points[days[begins] :]):
                return days[begins]
        if freed or (stands_out and len(changes) >= 4):
            within = range(days[index] + 1, days[index + 1] + 1)
            upwards = 1 if change > usual else -1
            return max(within, key=lambda i: upwards * (points[i][1] - points[i - 1][1]))
    return 0


def _run(changes: Sequence[float], usual: float, least: float) -> int:
    """Return the first of the latest changes that all stand out upwards."""
    begins = len(changes) - 1
    while begins > 0 and changes[begins - 1] - usual > least:
        begins -= 1
    return begins


def _spread(points: Sequence[Point]) -> bool:
    """Return whether growth is in many steps, and not in one."""
    return max(steps(points)) <= MOST_STEP * (points[-1][1] - points[0][1])


def _daily(points: Sequence[Point]) -> list[int]:
    """Return the indexes of the last sample of each day, counted back from the last sample."""
    latest = points[-1][0]
    last = {(latest - point[0]) // DAY: index for index, point in enumerate(points)}
    return sorted(last.values())
