# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage of each tier of the backup folder: bytes, share of the filesystem, growth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..common.safe_text import clean
from ..history.history import Amount, History, Sample
from . import forecast
from .growth_patterns import DAY
from .usage import TargetResult


class TierUsage(NamedTuple):
    """One tier on its disk.

    Attributes:
        bytes_used: what it takes up, as `du` counts it; its backups' sizes are in the inventory.
        percent_used: its share of the filesystem.
        growth_per_day: bytes; None without enough data.
    """

    bytes_used: int
    percent_used: float
    growth_per_day: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict()


def _key(folder: TargetResult, tier: str) -> str:
    return f"tier:{clean(f'{folder.path}/{tier}')}"


def tier_usages(
    folder: TargetResult, tiers: Sequence[str], history: History | None, now: float
) -> dict[str, TierUsage]:
    """Return the usage of each tier, without those that do not exist or were not measured.

    Args:
        folder: the backup folder, measured.
        tiers: the names of its tiers.
        history: earlier samples; None for no growth.
        now: seconds since 1970.

    Raises:
        ResilienceError: the history cannot be read.
    """
    found = {}
    whole = folder.bytes_total or 0
    sizes = {tier: size for tier in tiers if (size := (folder.folders or {}).get(tier)) is not None}
    before: dict[str, list[Amount]] = {}
    if history is not None:
        keys = [_key(folder, tier) for tier in sizes]
        before = history.amounts(keys, now - forecast.WINDOW_DAYS * DAY, now)
    for tier, amount in sizes.items():
        growth = None
        if history is not None:
            earlier = before[_key(folder, tier)]
            points = [(moment, size) for moment, size, _inodes in earlier if size is not None]
            growth = forecast.forecast(
                [*points, (now, amount)], {"full": whole}, whole, now
            ).per_day
        share = 100 * amount / whole if whole else 100.0
        found[tier] = TierUsage(amount, round(share, 4), growth)
    return found


def tier_samples(folder: TargetResult, found: Mapping[str, TierUsage], now: float) -> list[Sample]:
    """Return the samples of the tiers for the history."""
    return [
        Sample(
            _key(folder, tier),
            now,
            use.bytes_used,
            folder.bytes_available,
            folder.bytes_total,
            None,
            None,
            folder.level,
        )
        for tier, use in found.items()
    ]
