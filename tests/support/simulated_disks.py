"""Simulated disks whose future is known, of kinds that are met in reality.

A history has a measurement every hour. It ends when it reaches the emergency threshold (90 %), or
after 90 days where it does not.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

EMERGENCY, LONGEST = 90.0, 90
# How long before a fill a warning may begin, days.
EARLY = 14.0

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
    level, size, lasts = rng.uniform(30, 72), rng.uniform(3, 16), rng.randint(2, 9)
    return lambda hour: level + (size if 2 <= hour % 24 < 2 + lasts else 0) + rng.uniform(0, 0.3)


def weekly(rng: random.Random) -> Disk:
    """Dumps are added each night and cleaned up once a week."""
    peak, base, phase = rng.uniform(45, 70), rng.uniform(10, 35), rng.randint(0, 167)
    step = (peak - base) / 7
    return lambda hour: base + step * (1 + (hour + phase) % 168 // 24) + rng.uniform(0, 0.3)


def weekly_and_leak(rng: random.Random) -> Disk:
    """The same, and a leak beside it."""
    clean, rate = weekly(rng), rng.uniform(0.4, 1.5)
    return lambda hour: clean(hour) + rate * hour / 24


def monthly(rng: random.Random) -> Disk:
    """It grows for a retention cycle of four to five weeks and is cleaned up."""
    base, height, phase = rng.uniform(25, 55), rng.uniform(15, 30), rng.randint(0, 700)
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
    level, moments = rng.uniform(30, 60), []
    for _turn in range(rng.randint(2, 8)):
        moments.append((rng.randint(24, LONGEST * 24), rng.uniform(-14, 14)))
    return lambda hour: (
        min(80, level + sum(size for at, size in moments if hour >= at)) + rng.uniform(0, 0.4)
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


def sudden(rng: random.Random) -> Disk:
    """Weeks of calm, then 12 to 45 % a day: it is full within a day to five."""
    level, rate, noise = rng.uniform(25, 60), rng.uniform(12, 45), rng.uniform(0, 0.4)
    begins = rng.randint(10 * 24, 40 * 24)
    return lambda hour: level + rate * max(0, hour - begins) / 24 + rng.uniform(-noise, noise)


def leak_beside_nightly(rng: random.Random) -> Disk:
    """A dump is there each night, long enough to be measured, and something leaks."""
    level, size, lasts = rng.uniform(20, 50), rng.uniform(3, 15), rng.randint(5, 9)
    rate = rng.uniform(0.5, 3)
    return lambda hour: (
        level + rate * hour / 24 + (size if 2 <= hour % 24 < 2 + lasts else 0) + rng.uniform(0, 0.3)
    )


def growing_dumps(rng: random.Random) -> Disk:
    """A dump is there each night, and larger each time."""
    level, size, lasts = rng.uniform(30, 50), rng.uniform(5, 10), rng.randint(5, 9)
    more = rng.uniform(0.2, 1)
    return lambda hour: (
        level + (size + more * hour / 24 if 2 <= hour % 24 < 2 + lasts else 0) + rng.uniform(0, 0.3)
    )


def by_hand(rng: random.Random) -> Disk:
    """It grows all the time, and somebody cleans up when they see fit."""
    base, rate = rng.uniform(25, 40), rng.uniform(2, 6)
    levels, used, until = [], base, rng.uniform(55, 72)
    for _hour in range(round(LONGEST + EARLY) * 24):
        used += rate / 24
        if used >= until:
            used, until = base + rng.uniform(-3, 3), rng.uniform(55, 72)
        levels.append(used)
    return lambda hour: levels[hour] + rng.uniform(0, 0.3)


def biweekly(rng: random.Random) -> Disk:
    """It grows for two weeks and is cleaned up."""
    peak, base, phase = rng.uniform(50, 72), rng.uniform(15, 35), rng.randint(0, 335)
    return lambda hour: base + (peak - base) * ((hour + phase) % 336) / 336 + rng.uniform(0, 0.4)


def weekly_high(rng: random.Random) -> Disk:
    """Like `weekly`, up to 75 %."""
    peak, base, phase = rng.uniform(60, 82), rng.uniform(20, 45), rng.randint(0, 167)
    step = (peak - base) / 7
    return lambda hour: base + step * (1 + (hour + phase) % 168 // 24) + rng.uniform(0, 0.3)


def weekly_restore(rng: random.Random) -> Disk:
    """Once a week something large is there for half a day to two days."""
    level, size, phase = rng.uniform(30, 65), rng.uniform(10, 22), rng.randint(0, 167)
    lasts = rng.randint(10, 40)

    def used(hour: int) -> float:
        since = (hour + phase) % 168
        return level + (size * min(1, since / 6) if since < lasts else 0) + rng.uniform(0, 0.3)

    return used


def monthly_and_leak(rng: random.Random) -> Disk:
    """A retention cycle of four to five weeks, and a leak beside it."""
    base, height, phase = rng.uniform(10, 25), rng.uniform(15, 30), rng.randint(0, 700)
    length, rate = rng.randint(28 * 24, 35 * 24), rng.uniform(0.5, 0.9)
    return lambda hour: (
        base + height * ((hour + phase) % length) / length + rate * hour / 24 + rng.uniform(0, 0.5)
    )


def stairs(rng: random.Random) -> Disk:
    """Each day something is added at once, and nothing in between."""
    start, rate, at = rng.uniform(20, 50), rng.uniform(1, 5), rng.randint(0, 23)
    return lambda hour: start + rate * ((hour - at) // 24 + 1) + rng.uniform(0, 0.3)


def weekly_stairs(rng: random.Random) -> Disk:
    """Each week something is added at once, and nothing in between."""
    start, rate, at = rng.uniform(20, 50), rng.uniform(4, 9), rng.randint(0, 167)
    return lambda hour: start + rate * ((hour - at) // 168 + 1) + rng.uniform(0, 0.3)


def slow(rng: random.Random) -> Disk:
    """It is rather full and grows slowly."""
    start, rate = rng.uniform(70, 80), rng.uniform(0.15, 0.5)
    return lambda hour: start + rate * hour / 24 + rng.uniform(-0.3, 0.3)


def noisy(rng: random.Random) -> Disk:
    """It grows, and goes up and down by more than it grows in a day."""
    start, rate, noise = rng.uniform(20, 50), rng.uniform(0.7, 3), rng.uniform(1, 4)
    return lambda hour: start + rate * hour / 24 + rng.uniform(-noise, noise)


def steep_young(rng: random.Random) -> Disk:
    """It grows by 4 to 12 % a day from the first measurement on."""
    start, rate, noise = rng.uniform(30, 60), rng.uniform(4, 12), rng.uniform(0, 0.4)
    return lambda hour: start + rate * hour / 24 + rng.uniform(-noise, noise)


def burst(rng: random.Random) -> Disk:
    """Within hours or two days something large is put there, and stays."""
    level, size, lasts = rng.uniform(30, 60), rng.uniform(8, 25), rng.randint(3, 48)
    begins = rng.randint(100, 1500)
    return lambda hour: level + size * min(1, max(0, (hour - begins) / lasts)) + rng.uniform(0, 0.3)


KINDS = [
    calm, steady, calm_then_leak, nightly, weekly, weekly_and_leak, monthly, one_deletion, jumps,
    working_week, accelerating, gaps, sudden, leak_beside_nightly, growing_dumps, by_hand, biweekly,
    weekly_high, weekly_restore, monthly_and_leak, stairs, weekly_stairs, slow, noisy, steep_young,
    burst,
]  # fmt: skip


@dataclasses.dataclass
class History:
    """One disk.

    Attributes:
        points: hour and percent used, every hour that it was measured; to its end.
        fill: the hour at which it reached the emergency threshold; None where it did not.
        prevented: the hour at which it would have without a deletion, or will after these points.
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
    ahead = range(LONGEST * 24, round(LONGEST + EARLY) * 24)
    later = next((hour for hour in ahead if disk(hour) >= EMERGENCY), None)
    return History(points, None, prevented or later)
