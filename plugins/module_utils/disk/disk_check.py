# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at everything that is watched: measured, judged, joined to history and backups.

Both doors call it. Nothing is written here, so the same look serves the monitor, the dashboard and
an Ansible task.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from ..common import levels
from ..common.errors import ResilienceError
from ..common.levels import OK, RISING, UNKNOWN, WARNING
from ..history.history import History, Sample
from ..inventory import backup_names, inventory
from . import backup_fit, disk_options, forecast, mounts, tier_usage, usage
from .disk_causes import Cause
from .disk_settings import MonitorSettings
from .forecast import DAY, Forecast
from .usage import Target, TargetResult


@dataclasses.dataclass(frozen=True)
class DiskMeasurement:
    """What was seen.

    Attributes:
        results: every target.
        backups: the backup tree; None where none is watched or it cannot be read.
        fits: what fits, as `backup_fit.Fits`; None where none is watched.
        tiers: what each tier of the backup folder takes up, by name.
        watch: what was asked for.
        time: when, seconds since 1970.
        problems: what could not be looked at, in words.
    """

    results: list[TargetResult]
    backups: inventory.Inventory | None
    fits: backup_fit.BackupFit | None
    watch: disk_options.MonitorTargets
    time: float
    problems: list[str]
    tiers: dict[str, tier_usage.TierUsage] = dataclasses.field(default_factory=dict)

    @property
    def level(self) -> str:
        """The worst of all."""
        return levels.worst(result.level for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the backups without their list of files."""
        backups = None
        if self.backups is not None:
            backups = self.backups.to_dict()
            del backups["files"]
        return {
            "level": self.level,
            "targets": [result.to_dict() for result in self.results],
            "backups": backups,
            "fits": self.fits.to_dict() if self.fits else None,
            "tiers": {tier: use.to_dict() for tier, use in self.tiers.items()},
        }


def measurement(settings: MonitorSettings, history: History | None, now: float) -> DiskMeasurement:
    """Measures, judges and foretells.

    Args:
        settings: what is measured.
        history: what was measured earlier; None to foretell nothing.
        now: seconds since 1970.

    Raises:
        ResilienceError: an option is wrong; names it.
    """
    chosen = validate(settings)
    problems: list[str] = []
    results = usage.check(chosen.targets, discover=chosen.discover)
    targets = {(target.path, target.folder): target for target in chosen.targets}
    if history is not None:
        for index, result in enumerate(results):
            target = targets.get((result.path, result.folder), chosen.discover)
            if target is None or result.bytes_used is None:
                continue
            try:
                before = history.amounts(result.key, now - forecast.WINDOW_DAYS * DAY, now)
            except ResilienceError as error:
                problems.append(str(error))
                break
            results[index] = _with_forecasts(result, target, before, now, settings.forecast_days)
    tree, found, tiers = None, None, dict[str, tier_usage.TierUsage]()
    path = settings.backup_path
    for place, seen in enumerate(results):
        if path and seen.folder and seen.path == path:
            tree, found = _with_backups(settings, results, place)
            try:
                tiers = tier_usage.tier_usages(seen, settings.backup_tiers, history, now)
            except ResilienceError as error:
                problems.append(str(error))
    return DiskMeasurement(results, tree, found, chosen, now, problems, tiers)


def validate(settings: MonitorSettings) -> disk_options.MonitorTargets:
    """Return what is measured, from settings that are right; measures nothing.

    Raises:
        ResilienceError: an option is wrong; names it.
    """
    backup_names.compiled(settings.backup_pattern)
    for name in ("drill_factor", "forecast_days"):
        if getattr(settings, name) <= 0:
            raise ResilienceError(
                "this is not above 0",
                option=name,
                value=getattr(settings, name),
                remedy="give a number such as 7",
            )
    for tier, count in settings.retention.items():
        if count < 1:
            raise ResilienceError(
                "a tier keeps no number of backups above 0",
                option=f"retention.{tier}",
                value=count,
                remedy="give how many backups the tier keeps, such as 7",
            )
    return disk_options.monitor_targets(settings)


def samples(seen: DiskMeasurement) -> list[Sample]:
    """What is remembered of a look: every target that was measured, and each tier."""
    found = [
        Sample(
            result.key,
            seen.time,
            result.bytes_used,
            result.bytes_available,
            result.bytes_total,
            result.inodes_used,
            result.inodes_total,
            result.level,
        )
        for result in seen.results
        if result.bytes_used is not None
    ]
    for result in seen.results:
        if result.folder and seen.backups is not None and result.path == seen.backups.root:
            found += tier_usage.tier_samples(result, seen.tiers, seen.time)
    return found


def _with_forecasts(
    result: TargetResult,
    target: Target,
    before: list[tuple[float, int | None, int | None]],
    now: float,
    days: float,
) -> TargetResult:
    used, available = result.bytes_used or 0, result.bytes_available or 0
    usable = used + available
    points = [(moment, held) for moment, held, _inodes in before if held is not None]
    # A folder's thresholds are shares of the whole filesystem.
    whole = result.bytes_total or 0 if result.folder else usable
    limits = {
        level: min(target.thresholds.percent_at(level, whole) / 100 * whole, usable)
        for level in RISING
    }
    space = forecast.forecast(
        [*points, (now, float(used))], {**limits, "full": float(usable)}, usable, now
    )
    causes = [] if result.folder else _forecast_causes("forecast", space, days)
    inodes = None
    if result.inodes_total and result.inodes_used is not None:
        total = result.inodes_total
        points = [(moment, held) for moment, _bytes, held in before if held is not None]
        limits = {level: target.inodes.percent_at(level, total) / 100 * total for level in RISING}
        inodes = forecast.forecast(
            [*points, (now, float(result.inodes_used))], {**limits, "full": total}, total, now
        )
        causes += _forecast_causes("inodes_forecast", inodes, days)
    return result.and_also(
        causes, forecast=space.to_dict(), inodes_forecast=inodes.to_dict() if inodes else None
    )


def _forecast_causes(code: str, found: Forecast, days: float) -> list[Cause]:
    """Speaks when the emergency threshold, which comes before full, is that near.

    A forecast of low confidence says nothing; one that has spoken falls silent again only when the
    time left is half as long again.
    """
    until = found.days_to.get("emergency")
    if found.status != forecast.GROWING or until is None:
        return []
    values = {
        "days": until,
        "days_to_full": found.days_to.get("full"),
        "confidence": found.confidence,
    }
    sure = found.confidence in (forecast.MEDIUM, forecast.HIGH)
    level = WARNING if sure and 0 < until <= days else OK
    falls_to = WARNING if 0 < until <= days * 1.5 else OK
    return [Cause(code, level, falls_to, values)]


def _with_backups(
    settings: MonitorSettings,
    results: list[TargetResult],
    index: int,
) -> tuple[inventory.Inventory | None, backup_fit.BackupFit | None]:
    """Adds to the backup folder what its backups tell; gives the tree and what fits."""
    folder = results[index]
    try:
        tree = inventory.scan(
            folder.path,
            tiers=settings.backup_tiers,
            pattern=settings.backup_pattern,
            digest=False,
        )
    except ResilienceError as error:
        results[index] = folder.and_also([_unreadable(str(error))])
        return None, None
    added = _problems(tree, folder.path)
    found = None
    if folder.bytes_available is not None:
        found = backup_fit.backup_fit(
            tree.files,
            folder.bytes_available,
            drill_available=_drill_available(settings.drill_path, folder, settings.time_limit),
            drill_factor=settings.drill_factor,
            retention=settings.retention,
            other_growth=_other_growth(results, folder),
        )
        added += backup_fit.fit_causes(found, folder.bytes_available, settings.forecast_days)
    results[index] = folder.and_also(added)
    return tree, found


def _problems(tree: inventory.Inventory, path: str) -> list[Cause]:
    """A tier that is not there is known to be missing; what cannot be read is not known."""
    if not tree.problems:
        return []
    missing = [tier for tier in tree.tier_names if not os.path.lexists(os.path.join(path, tier))]
    cause = _unreadable("; ".join(tree.problems))
    if len(missing) == len(tree.problems):
        return [dataclasses.replace(cause, level=WARNING, falls_to=WARNING)]
    return [cause]


def _unreadable(why: str) -> Cause:
    return Cause("backups", UNKNOWN, UNKNOWN, {"why": why})


def _drill_available(path: str | None, folder: TargetResult, time_limit: float) -> int | None:
    """Bytes left where drills are made; the folders that a drill will make need not exist yet."""
    if not path:
        return folder.bytes_available
    try:
        mount = mounts.mount_of(mounts.by_point(mounts.mount_table()), path)
        if mount is not None and mount.network:
            # Its server may not answer, so nothing below it is asked for.
            return usage.measure(mount.point, time_limit, network=True).available
        while not os.path.isdir(path) and path != "/":
            path = os.path.dirname(path)
        return usage.measure(path).available
    except (OSError, ResilienceError):
        return None


def _other_growth(results: list[TargetResult], folder: TargetResult) -> float:
    """Bytes a day by which the rest of the backups' filesystem grows, as far as that is known."""
    own = (folder.forecast or {}).get("per_day") or 0.0
    for result in results:
        found = result.forecast or {}
        if (
            not result.folder
            and result.mount_point == folder.mount_point
            and found.get("confidence") in (forecast.MEDIUM, forecast.HIGH)
        ):
            return max(0.0, float(found["per_day"]) - max(0.0, float(own)))
    return 0.0
