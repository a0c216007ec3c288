# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk dashboard shows beside the measurement itself, as plain values."""

from __future__ import annotations

from typing import Any

from ..common.errors import ResilienceError
from ..disk.disk_check import DiskMeasurement
from ..disk.disk_settings import MonitorSettings
from ..disk.usage import TargetResult
from ..history.history import History
from . import render_trend


def days(history: History | None, result: TargetResult, now: float) -> list[float | None]:
    """Return the highest percentage of each of the last days, with the present measurement."""
    if history is None or result.percent_used is None:
        return []
    try:
        samples = history.samples(result.key, now - render_trend.SPARK_DAYS * render_trend.DAY)
    except ResilienceError:
        return []
    points = []
    for sample in samples:
        if sample.bytes_used is None or sample.time > now:
            continue
        whole = (
            sample.bytes_total
            if result.folder
            else sample.bytes_used + (sample.bytes_available or 0)
        )
        if whole:
            points.append((sample.time, 100 * sample.bytes_used / whole))
    if not points:
        return []
    return render_trend.daily([*points, (now, result.percent_used)], now)


def no_backups(settings: MonitorSettings, measured: DiskMeasurement) -> dict[str, Any]:
    """Return what the page shows as the backup tree when it could not be read."""
    path = settings.backup_path
    reasons = [
        result.reason for result in measured.results if result.folder and result.path == path
    ]
    return {
        "root": path,
        "tiers": {tier: {"count": 0, "bytes": 0} for tier in settings.tiers},
        "total_count": 0,
        "total_bytes": 0,
        "problems": reasons,
    }
