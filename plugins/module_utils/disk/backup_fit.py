# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What fits on the disk: tonight's dump, a restore drill, the next nights of the retention plan.

Nothing is measured here.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..common.levels import CRITICAL, OK, UNKNOWN, WARNING
from ..inventory.backup_names import SEALED
from ..inventory.inventory import BackupFile
from .disk_causes import Cause
from .disk_settings import DRILL_FACTOR, RETENTION
from .forecast import slopes
from .growth_patterns import DAY

# Nights between two backups of a tier, when its name says so; others are taken for nightly.
NIGHTS = {"daily": 1, "weekly": 7, "monthly": 30}
# What an empty cluster and its write-ahead log take, whatever the dump's size.
DRILL_BASE = 256 << 20
# A dump is expected to be larger than foreseen by no more than this.
DUMP_MARGIN = 1.2
HORIZON = 120


class BackupFit(NamedTuple):
    """What fits; sizes in bytes.

    Attributes:
        next_dump: expected size of tonight's dump; None without earlier ones.
        dump_growth: bytes by which dumps grow each day.
        dump_fits: whether tonight's fits; None when its size is not known.
        drill_needs: what a restore of the newest backup takes.
        drill_available: what is left where drills restore; None when it is not known.
        drill_fits: whether a drill fits; None when one of both is not known.
        nights: for how many nights the retention plan fits at the present growth; `HORIZON` stands
            for as many or more; None when it is not known.
    """

    next_dump: int | None = None
    dump_growth: float = 0.0
    dump_fits: bool | None = None
    drill_needs: int | None = None
    drill_available: int | None = None
    drill_fits: bool | None = None
    nights: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict()


def backup_fit(
    backups: Sequence[BackupFile],
    available: int,
    *,
    drill_available: int | None,
    drill_factor: float = DRILL_FACTOR,
    retention: Mapping[str, int] | None = None,
    other_growth: float = 0.0,
) -> BackupFit:
    """Return what fits on the backups' filesystem, and where drills restore.

    Args:
        backups: those that exist.
        available: bytes left on their filesystem.
        drill_available: bytes left where drills restore; None when it is not known.
        drill_factor: how many times its dump a restored database takes.
        retention: how many backups each tier keeps.
        other_growth: bytes a day by which everything else on that filesystem grows.
    """
    dumps = _dumps(backups)
    if not dumps:
        return BackupFit(drill_available=drill_available)
    newest = dumps[-1][1]
    growth = 0.0
    if len(dumps) >= 3:
        growth = max(0.0, slopes(dumps)[0] * DAY)
    # The largest of the last week: one small dump does not make the next one small.
    following = max(size for _taken_at, size in dumps[-7:]) + growth
    # A sealed one is opened into a file of its own first.
    opened = max(backups, key=_taken_at).path.endswith(SEALED)
    needs = int(newest * (1 + opened + drill_factor)) + DRILL_BASE
    return BackupFit(
        next_dump=int(following),
        dump_growth=growth,
        dump_fits=available >= following * DUMP_MARGIN,
        drill_needs=needs,
        drill_available=drill_available,
        drill_fits=None if drill_available is None else drill_available >= needs,
        nights=_nights(backups, available, following, growth, retention or RETENTION, other_growth),
    )


def _taken_at(file: BackupFile) -> float:
    if file.taken_at:
        return datetime.datetime.fromisoformat(file.taken_at).timestamp()
    return file.mtime_ns / 1e9


def _dumps(backups: Sequence[BackupFile]) -> list[tuple[float, float]]:
    """Return time and size of each dump, the oldest first; one that is in two tiers counts once."""
    return sorted({_taken_at(file): float(file.bytes) for file in backups}.items())


def _nights(
    backups: Sequence[BackupFile],
    available: float,
    size: float,
    growth: float,
    retention: Mapping[str, int],
    other_growth: float,
) -> int:
    """Simulate the next nights: each tier takes its new backup first, then drops its oldest."""
    kept: dict[str, list[float]] = {tier: [] for tier in retention}
    for file in sorted(backups, key=_taken_at):
        kept.setdefault(file.tier, []).append(float(file.bytes))
    for night in range(1, HORIZON + 1):
        available -= other_growth
        for tier, sizes in kept.items():
            if tier not in retention or night % NIGHTS.get(tier, 1):
                continue
            if available < size:
                return night - 1
            available -= size
            sizes.append(size)
            while len(sizes) > retention[tier]:
                available += sizes.pop(0)
        if available < 0:
            return night - 1
        size += growth
    return HORIZON


def fit_causes(found: BackupFit, available: int, warn_nights: float) -> list[Cause]:
    """Return a cause for tonight's dump, for a drill and for the retention plan, as far as known.

    Args:
        found: what fits.
        available: bytes left on the backups' filesystem.
        warn_nights: fewer nights than these are a warning.
    """
    causes = []
    values: dict[str, Any]
    if found.next_dump is not None and found.dump_fits is not None:
        needs = found.next_dump * DUMP_MARGIN
        spare = available / max(1.0, needs)
        values = {"needs": int(needs), "available": available, "fits": found.dump_fits}
        causes.append(Cause("dump_fit", *_fit_levels(spare), values))
    if found.drill_needs and found.drill_available is None:
        values = {"needs": found.drill_needs, "available": None, "fits": None}
        causes.append(Cause("drill_fit", UNKNOWN, UNKNOWN, values))
    if found.drill_fits is not None and found.drill_needs and found.drill_available is not None:
        spare = found.drill_available / found.drill_needs
        values = {
            "needs": found.drill_needs,
            "available": found.drill_available,
            "fits": found.drill_fits,
        }
        # A drill that does not fit endangers no data: it is a warning, never more.
        level, falls_to = (min(level, WARNING, key=_severity) for level in _fit_levels(spare))
        causes.append(Cause("drill_fit", level, falls_to, values))
    if found.nights is not None:
        level = WARNING if found.nights < warn_nights else OK
        falls_to = WARNING if found.nights < warn_nights * 1.5 else OK
        if found.nights < 1:
            level = falls_to = CRITICAL
        values = {"nights": found.nights, "horizon": HORIZON}
        causes.append(Cause("retention_fit", level, falls_to, values))
    return causes


def _severity(level: str) -> int:
    return (OK, WARNING, CRITICAL).index(level)


def _fit_levels(spare: float) -> tuple[str, str]:
    """Return the levels for room that is so many times what is needed.

    Room for one alone is a warning, for less than one critical.
    """

    def level(times: float) -> str:
        return CRITICAL if times < 1 else WARNING if times < 2 else OK

    return level(spare), level(spare * 0.9)
