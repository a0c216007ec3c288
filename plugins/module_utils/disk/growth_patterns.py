# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of growth that a line does not show: clean-ups that repeat, weekly steps, a sudden rise.

See `forecast` for the method as a whole.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

DAY = 86400.0
WEEK = 7 * DAY
# What a clean-up frees at least, as a share of what there is to be had, and as a multiple of what
# usually comes or goes between two samples.
BREAK_SHARE = 0.02
CYCLE_STEPS = 4.0
# Intervals are alike that differ by less than this factor.
LIKE = 1.5
# A weekly step is one of at least so many, the smallest at least half as high as the usual one.
LEAST_WEEKS = 3
# A sudden rise goes on for two samples or more, over half a day or more. It exceeds every earlier
# one of its length by this factor, and its latest step is no less than this share of the largest.
UNSEEN = 1.5
SUDDEN_STEPS, SUDDEN_DAYS, SUDDEN_LATEST = 2, 2.5, 0.75
# Growth comes in nightly steps where one step a day makes this share of it.
NIGHTLY_SHARE = 0.8
# 95 % quantiles of Student's t, of 1, 2, 3 ... degrees of freedom.
T_95 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)
# How long the history must be to know what is usual.
KNOWN_DAYS = 8.0

Point = tuple[float, float]


class Rise(NamedTuple):
    """A growth that was recognised, a second: its rate, and the ends of its range."""

    rate: float
    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def steps(points: Sequence[Point]) -> list[float]:
    """Return by how much the amount changes between each two of them."""
    return [later[1] - earlier[1] for earlier, later in zip(points, points[1:])]


def intervals(points: Sequence[Point]) -> list[float]:
    """Return the seconds between each two of them."""
    return [later[0] - earlier[0] for earlier, later in zip(points, points[1:])]


def clean_up_peaks(points: Sequence[Point], usable: float) -> list[Point]:
    """Return the samples before clean-ups, of which none frees less than half of the largest.

    Args:
        points: in order of time.
        usable: how much there is to be had.
    """
    changes = steps(points)
    if not changes or -min(changes) <= BREAK_SHARE * usable:
        return []
    least = _least_clean_up(changes, usable)
    return [point for point, change in zip(points, changes) if change < -least]


def nightly_steps(points: Sequence[Point]) -> bool:
    """Return whether growth comes in one step a day, as that of a folder of nightly dumps."""
    days = math.ceil((points[-1][0] - points[0][0]) / DAY)
    ordered = sorted(steps(points), reverse=True)
    gained = points[-1][1] - points[0][1]
    return len(ordered) >= 2 * days and sum(ordered[:days]) >= NIGHTLY_SHARE * gained > 0


def next_peak(heights: Sequence[float], usable: float) -> float:
    """Return up to where a disk may grow before somebody cleans it up again as they see fit.

    It is the upper end of the one-sided 95 % prediction interval, given earlier ones (Student's t).
    """
    count = len(heights)
    mean = sum(heights) / count
    beyond = 0.0
    if count > 1:
        variance = sum((height - mean) ** 2 for height in heights) / (count - 1)
        quantile = T_95[min(count, len(T_95) + 1) - 2]
        beyond = quantile * math.sqrt(variance * (1 + 1 / count))
    return max(mean + beyond, max(heights) + BREAK_SHARE * usable)


def _least_clean_up(changes: Sequence[float], usable: float) -> float:
    usual = median([abs(change) for change in changes])
    return max(BREAK_SHARE * usable, CYCLE_STEPS * usual, -min(changes) / 2)


def cycle_peaks(points: Sequence[Point], usable: float) -> list[Point]:
    """Return the samples before clean-ups that repeat; none where they do not, or did not lately.

    They repeat where at least two came at like intervals, where the next one is not overdue, and
    where the disk holds no more than it did before the others.

    Args:
        points: in order of time.
        usable: how much there is to be had.
    """
    peaks = clean_up_peaks(points, usable)
    if len(peaks) < 2:
        return []
    between = intervals(peaks)
    usual = median(between)
    if any(not usual / LIKE < interval < usual * LIKE for interval in between[-3:]):
        return []
    moment, amount = points[-1]
    overdue = moment - peaks[-1][0] > usual * LIKE
    least = _least_clean_up(steps(points), usable)
    beyond = amount - peaks[-1][1] > least + max(0.0, *steps(peaks))
    return [] if overdue or beyond else peaks


class Cycle:
    """What is ahead where clean-ups repeat: the last cycle again, higher by what each one gains.

    Attributes:
        excess: by how much the present cycle is above that already.
        confirmed: whether the present cycle, too, is higher than the last one, and not only the
            peaks were.
    """

    def __init__(
        self, points: Sequence[Point], peaks: Sequence[Point], slope: float, usable: float
    ) -> None:
        """Compare the present cycle with the one before.

        Args:
            points: all samples, in order of time.
            peaks: the samples before clean-ups, at least two.
            slope: by how much the peaks grow, a second.
            usable: how much there is to be had.
        """
        moment, self.amount = points[-1]
        self._least = BREAK_SHARE * usable / 2
        begin, end = peaks[-2][0], peaks[-1][0]
        self._period = median(intervals(peaks))
        self._gain = max(0.0, slope) * self._period
        self._since = moment - end
        last = [point for point in points if begin < point[0] <= end]
        self._offsets = [point[0] - begin for point in last]
        self._amounts = [point[1] for point in last]
        # Clean-ups are not to the hour, so a step of the last cycle may come half a day earlier.
        until = bisect.bisect_right(self._offsets, self._since + DAY / 2)
        expected = max(self._amounts[:until], default=self.amount - self._gain) + self._gain
        self.excess = max(0.0, self.amount - expected)
        self.confirmed = self.amount - (expected - self._gain) > self._gain / 2 > 0

    def days_until(self, limit: float) -> float | None:
        """Return the days until a limit is reached; None where it never is."""
        if self.amount >= limit:
            return 0.0
        # What is next need not be to the percent what came then.
        for offset, amount in zip(self._offsets, self._amounts):
            ahead = offset - self._since
            if 0 < ahead <= DAY and amount + self._gain + self.excess >= limit - self._least:
                return ahead / DAY
        above = limit - max(self._amounts) - self._gain - self.excess
        rounds = 0
        if above > 0:
            if self._gain <= 0:
                return None
            rounds = math.ceil(above / self._gain)
        while True:
            added = self._gain * (rounds + 1) + self.excess
            for offset, amount in zip(self._offsets, self._amounts):
                ahead = offset + rounds * self._period - self._since
                if ahead > 0 and amount + added >= limit:
                    return ahead / DAY
            # The place in the cycle has passed already; it comes again in the next one.
            rounds += 1


def weekly_steps(points: Sequence[Point], usable: float) -> Rise | None:
    """Return the growth where each week adds about as much, however little happens in between.

    Args:
        points: in order of time; no clean-up is among them.
        usable: how much there is to be had.
    """
    moments = [point[0] for point in points]
    now, weeks = points[-1][0], list[float]()
    while True:
        at = now - len(weeks) * WEEK
        index = bisect.bisect_right(moments, at) - 1
        if index < 0 or at - moments[index] > DAY:
            break
        weeks.append(points[index][1])
    gains = [later - earlier for later, earlier in zip(weeks, weeks[1:])]
    if len(gains) < LEAST_WEEKS:
        return None
    # Those of the latest weeks that are alike.
    usual = median(gains[:LEAST_WEEKS])
    alike = gains[:LEAST_WEEKS]
    if min(alike) < usual / 2 or usual < BREAK_SHARE * usable / 2:
        return None
    return Rise(usual / WEEK, min(alike) / WEEK, max(alike) / WEEK)


def sudden_rise(points: Sequence[Point], usable: float) -> Rise | None:
    """Return a rise such as this disk has not had before, and which has not slowed down.

    Args:
        points: in order of time.
        usable: how much there is to be had.
    """
    begin = len(points) - 1
    least = BREAK_SHARE * usable / 2
    while begin > 0 and points[begin][1] - points[begin - 1][1] > least:
        begin -= 1
    rise = points[begin:]
    lasted = rise[-1][0] - rise[0][0]
    before = points[: begin + 1]
    if len(rise) <= SUDDEN_STEPS or not DAY / 2 <= lasted <= SUDDEN_DAYS * DAY:
        return None
    if before[-1][0] - before[0][0] < KNOWN_DAYS * DAY:
        return None
    gained = rise[-1][1] - rise[0][1]
    if gained <= UNSEEN * _largest_rise(before, lasted):
        return None
    rates = [step / seconds for step, seconds in zip(steps(rise), intervals(rise))]
    if rates[-1] < SUDDEN_LATEST * max(rates):  # it has come to its end
        return None
    return Rise(gained / lasted, min(rates), max(rates))


def _largest_rise(points: Sequence[Point], seconds: float) -> float:
    """Return the largest rise within so many seconds."""
    largest = 0.0
    # The samples within that time that no later one is below: the first is the lowest.
    lowest: deque[Point] = deque()
    for moment, amount in points:
        while lowest and lowest[-1][1] >= amount:
            lowest.pop()
        lowest.append((moment, amount))
        while moment - lowest[0][0] > seconds:
            lowest.popleft()
        largest = max(largest, amount - lowest[0][1])
    return largest
