# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk measurement: every target measured, judged, and joined to its history and the backups.

The commands and the Ansible module call it. It writes nothing, so that the monitor, the dashboard
and an Ansible task get the same result.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..common import bounded_calls, levels
from ..common.bounded_calls import BoundedCall
from ..common.errors import ResilienceError
from ..common.levels import OK, RISING, UNKNOWN, WARNING
from ..common.messages import join, to_form
from ..common.settings import parse
from ..common.system_errors import reason
from ..history.history import Amount, History, Sample
from ..inventory import backup_names, inventory
from . import backup_fit, forecast, monitor_targets, mounts, tier_usage, usage
from .backup_fit import BackupFit
from .disk_causes import Cause
from .disk_settings import MonitorSettings
from .forecast import Forecast
from .growth_patterns import DAY
from .usage import Target, TargetResult

# Seconds for listing the backups, beside `time_limit` for the filesystem they are on.
LISTING_TIME_LIMIT = 300.0


class DiskMeasurement(NamedTuple):
    """The result of one measurement.

    Attributes:
        results: every target's.
        backups: the backup tree; None where none is watched or it cannot be read.
        fits: what fits; None where no backup tree is watched.
        monitored: the targets, with their thresholds.
        time: when, seconds since 1970.
        problems: what could not be read, as texts.
        tiers: what each tier of the backup tree takes up, by name.
    """

    results: list[TargetResult]
    backups: inventory.Inventory | None
    fits: BackupFit | None
    monitored: monitor_targets.MonitorTargets
    time: float
    problems: list[str]
    tiers: dict[str, tier_usage.TierUsage]

    @property
    def level(self) -> str:
        """The worst of all levels."""
        return levels.worst(result.level for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the backups without their list of files."""
        backups = None
        if self.backups is not None:
            backups = self.backups.to_dict()
            del backups["files"]
        return {
            "level": self.level,
            "targets": [result.to_dict() for result in self.results],
            "backups": backups,
            "fits": self.fits.to_dict() if self.fits else None,
            "tiers": {tier: held.to_dict() for tier, held in self.tiers.items()},
        }


def measurement(settings: MonitorSettings, history: History | None, now: float) -> DiskMeasurement:
    """Measure and judge every target, with forecasts and with what fits.

    Args:
        settings: what is measured.
        history: earlier samples; None for no forecasts.
        now: seconds since 1970.

    Raises:
        ResilienceError: an option is wrong, or psutil is missing.
    """
    monitored = validate(settings)
    problems: list[str] = []
    table = mounts.mount_table()
    results = usage.check(monitored.targets, discover=monitored.discover, table=table)
    if history is not None:
        keys = [result.key for result in results if result.bytes_used is not None]
        try:
            before = history.amounts(keys, now - forecast.CYCLE_DAYS * DAY, now)
        except ResilienceError as error:
            problems.append(error.message())
            before = {}
        targets = {(target.path, target.folder): target for target in monitored.targets}
        for index, result in enumerate(results):
            target = targets.get((result.path, result.folder), monitored.discover)
            if target is not None and result.key in before:
                amounts = before[result.key]
                results[index] = _with_forecasts(
                    result, target, amounts, now, settings.forecast_days
                )
    tree, fits, tiers = None, None, dict[str, tier_usage.TierUsage]()
    path = settings.backup_path
    for index, result in enumerate(results):
        if path and result.folder and result.path == path:
            tree, fits = _with_backups(settings, results, index, table)
            try:
                tiers = tier_usage.tier_usages(result, settings.tiers, history, now)
            except ResilienceError as error:
                problems.append(error.message())
    return DiskMeasurement(results, tree, fits, monitored, now, problems, tiers)


def values(options: dict[str, Any], state_dir: str) -> dict[str, Any]:
    """Measure as `measurement` does; return plain values.

    Args:
        options: of `MonitorSettings`, not yet parsed.
        state_dir: the folder of the history; empty for no forecasts.

    Raises:
        ResilienceError: as `measurement`, or the history cannot be read.
    """
    with contextlib.ExitStack() as stack:
        history = stack.enter_context(History(state_dir, read_only=True)) if state_dir else None
        return measurement(parse(options, MonitorSettings), history, time.time()).to_dict()


def validate(settings: MonitorSettings) -> monitor_targets.MonitorTargets:
    """Return the targets that settings name, once all settings are right; nothing is measured.

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
    if settings.drill_path:
        monitor_targets.check_absolute("drill_path", settings.drill_path)
    return monitor_targets.monitor_targets(settings)


def samples(measured: DiskMeasurement) -> list[Sample]:
    """Return what the history keeps of a measurement: each measured target, and each tier."""
    found = [
        Sample(
            result.key,
            measured.time,
            result.bytes_used,
            result.bytes_available,
            result.bytes_total,
            result.inodes_used,
            result.inodes_total,
            result.level,
        )
        for result in measured.results
        if result.bytes_used is not None
    ]
    for result in measured.results:
        if result.folder and measured.backups and result.path == measured.backups.root:
            found += tier_usage.tier_samples(result, measured.tiers, measured.time)
    return found


def _with_forecasts(
    result: TargetResult,
    target: Target,
    before: Sequence[Amount],
    now: float,
    days: float,
) -> TargetResult:
    used, available = result.bytes_used or 0, result.bytes_available or 0
    usable = used + available
    points = [(moment, amount) for moment, amount, _inodes in before if amount is not None]
    # A folder's thresholds are shares of the whole filesystem.
    whole = result.bytes_total or 0 if result.folder else usable
    limits = {
        level: min(target.thresholds.percent_at(level, whole) / 100 * whole, usable)
        for level in RISING
    }
    space = forecast.forecast(
        [*points, (now, float(used))], {**limits, "full": float(usable)}, usable, now
    )
    causes = []
    if not result.folder:
        causes += _forecast_causes("forecast", space, used, limits["emergency"], days)
    inodes = None
    if result.inodes_total and result.inodes_used is not None:
        total = result.inodes_total
        points = [(moment, amount) for moment, _bytes, amount in before if amount is not None]
        limits = {level: target.inodes.percent_at(level, total) / 100 * total for level in RISING}
        inodes = forecast.forecast(
            [*points, (now, float(result.inodes_used))], {**limits, "full": total}, total, now
        )
        amount, limit = result.inodes_used, limits["emergency"]
        causes += _forecast_causes("inodes_forecast", inodes, amount, limit, days)
    return result.with_causes(
        causes, forecast=space.to_dict(), inodes_forecast=inodes.to_dict() if inodes else None
    )


def _forecast_causes(
    code: str, found: Forecast, amount: float, limit: float, days: float
) -> list[Cause]:
    """Return a cause where the emergency threshold, which comes before full, will be reached.

    Args:
        code: `forecast` or `inodes_forecast`.
        found: the forecast.
        amount: what is used now.
        limit: the threshold, as an amount.
        days: within which it is a warning; see `forecast.warns`.
    """
    until = found.days_to.get("emergency")
    if found.status != forecast.GROWING or until is None:
        return []
    values = {
        "days": until,
        "days_to_full": found.days_to.get("full"),
        "confidence": found.confidence,
    }
    warns, lasts = forecast.warns(found, amount, limit, days)
    return [Cause(code, WARNING if warns else OK, WARNING if lasts else OK, values)]


def _with_backups(
    settings: MonitorSettings,
    results: list[TargetResult],
    index: int,
    table: Sequence[mounts.Mount],
) -> tuple[inventory.Inventory | None, BackupFit | None]:
    """Add the causes of the backups to their folder's result; return the tree and what fits."""
    folder = results[index]
    listing = partial(_listed, settings.tree_root, settings.tiers, settings.backup_pattern)
    drill_path = settings.drill_path or folder.path
    room = partial(_available_at, mounts.by_point(table), drill_path)
    # A folder that could not be measured may belong to a filesystem that hangs.
    limit = settings.time_limit if folder.bytes_used is None else LISTING_TIME_LIMIT
    calls: list[BoundedCall[Any]] = [
        BoundedCall(f"backups in {folder.path}", listing, limit),
        BoundedCall(f"room at {drill_path}", room, settings.time_limit),
    ]
    listed, drill_available = bounded_calls.results(calls)
    if listed.error is not None:
        if folder.bytes_used is not None or not isinstance(listed.error, TimeoutError):
            results[index] = folder.with_causes([_unreadable(reason(listed.error))])
        return None, None
    tree, missing = listed.value()
    added = _problems(tree, missing)
    fits = None
    if folder.bytes_available is not None:
        fits = backup_fit.backup_fit(
            tree.files,
            folder.bytes_available,
            drill_available=drill_available.returned,
            drill_factor=settings.drill_factor,
            retention=settings.retention,
            other_growth=_other_growth(results, folder),
        )
        added += backup_fit.fit_causes(fits, folder.bytes_available, settings.forecast_days)
    results[index] = folder.with_causes(added)
    return tree, fits


def _listed(path: str, tiers: Sequence[str], pattern: str) -> tuple[inventory.Inventory, list[str]]:
    """Return the backup tree, and the tiers that do not exist."""
    tree = inventory.scan(path, tiers=tiers, pattern=pattern)
    return tree, [tier for tier in tiers if not os.path.lexists(os.path.join(path, tier))]


def _problems(tree: inventory.Inventory, missing: Sequence[str]) -> list[Cause]:
    """Return a cause for what the tree lacks: a missing tier is a warning, the rest unknown."""
    if not tree.problems:
        return []
    cause = _unreadable(join(tree.problems, "; "))
    if len(missing) == len(tree.problems):
        return [cause._replace(level=WARNING, falls_to=WARNING)]
    return [cause]


def _unreadable(why: str) -> Cause:
    return Cause("backups", UNKNOWN, UNKNOWN, {"why": to_form(why)})


def _available_at(mounted: Mapping[str, mounts.Mount], path: str) -> int | None:
    """Return the bytes left where drills restore, whose folders need not exist yet; None where
    the filesystem's figures cannot be. It may block, see `common.bounded_calls`."""
    while not os.path.isdir(path) and path != "/" and path not in mounted:
        path = os.path.dirname(path)
    found = usage.filesystem_usage(path)
    return None if found.problem() else found.available


def _other_growth(results: list[TargetResult], folder: TargetResult) -> float:
    """Return bytes a day by which the rest of the backups' filesystem grows, as far as known."""
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
