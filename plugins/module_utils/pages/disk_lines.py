# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk measurement as lines of a log, as the line of a monitoring plugin, and as metrics."""

from __future__ import annotations

import gettext
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import levels
from ..common.levels import LEVELS, OK, RISING, UNKNOWN
from ..common.safe_text import clean
from ..disk import disk_causes, usage
from ..disk.disk_check import DiskMeasurement
from ..disk.growth_patterns import DAY
from ..notifications.alerts import AlertState, Condition
from ..notifications.metric_catalogue import gauge
from ..notifications.metrics import Gauge

# Monitoring Plugins development guidelines, "Plugin Output for Nagios".
_STATUS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def name_of(result: usage.TargetResult) -> str:
    """Return what a target is called in a log."""
    return clean(result.name or result.path)


def log_line(moment: str, result: usage.TargetResult) -> str:
    """Return a line of `key=value` for one target; texts are quoted, so that it stays one line."""
    until = ((result.forecast or {}).get("days_to") or {}).get("full")
    values: dict[str, Any] = {
        "path": clean(result.path),
        "level": result.level,
        "percent_used": result.percent_used,
        "bytes_used": result.bytes_used,
        "bytes_available": result.bytes_available,
        "bytes_total": result.bytes_total,
        "inodes_percent_used": result.inodes_percent_used,
        "days_to_full": None if until is None else round(until, 1),
        "reason": clean(result.reason),
    }
    pairs = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return " ".join([moment, *pairs])


def condition(
    translations: gettext.NullTranslations,
    code: str,
    result: usage.TargetResult,
    causes: Sequence[Mapping[str, Any]],
) -> Condition:
    """Return the alert condition of one target, or of a cause that has an alert of its own.

    Args:
        translations: of the messages' language.
        code: the cause's, or empty for the target's level.
        result: the target's.
        causes: those that the condition is about, the worst first.
    """
    level = levels.worst(cause["level"] for cause in causes)
    falls_to = levels.worst(cause["falls_to"] for cause in causes)
    bad = [cause for cause in causes if cause["level"] != OK] or causes[:1]

    reason = clean("; ".join(disk_causes.cause_text(translations, cause) for cause in bad))
    name = (
        result.name
        if result.name and not code
        else disk_causes.alert_subject(translations, code, result.path, result.folder)
    )
    key = f"{result.key}:{code}" if code else result.key
    return Condition(key, clean(name), level, falls_to, reason)


def gone(
    translations: gettext.NullTranslations, key: str, state: AlertState, mounted: bool
) -> Condition:
    """Return the condition of a target whose alert is in force and that is measured no longer.

    Its level is unknown, and it is sent once: it was bad when it was last measured.

    Args:
        translations: of the messages' language.
        key: the target's.
        state: its alert.
        mounted: whether something is still mounted there.
    """
    tr = translations.gettext
    text = (
        tr("no longer watched; its last level was %(level)s")
        if mounted
        else tr("no longer mounted; its last level was %(level)s")
    )
    word = disk_causes.level_word(translations, state.level)
    return Condition(key, state.name, UNKNOWN, UNKNOWN, text % {"level": word})


def nagios(measured: DiskMeasurement, problems: Sequence[str] = ()) -> str:
    """Return the line of a monitoring plugin: status, text, performance data.

    The text is what is wrong, or else every percentage. Units are bytes and percent; a threshold is
    given where it is known in that unit.

    Args:
        measured: the measurement.
        problems: what could not be read beside it; see `plugin_level`.
    """
    bad = sorted((one for one in measured.results if one.level != OK), key=_worst_first)
    texts = [f"{name_of(result)}: {clean(result.reason)}" for result in bad]
    texts += [clean(problem) for problem in problems]
    if not texts:
        texts = [f"{name_of(one)} {one.percent_used:.1f}%" for one in measured.results]
    labels: set[str] = set()
    data = [item for result in measured.results for item in _performance(measured, result, labels)]
    line = plugin_line(plugin_level(measured, problems), "; ".join(texts))
    return f"{line} | {' '.join(data)}" if data else line


def plugin_level(measured: DiskMeasurement, problems: Sequence[str]) -> str:
    """Return the plugin's level: never ok where something could not be read."""
    return levels.worst([measured.level, *(UNKNOWN for _problem in problems)])


def plugin_line(level: str, text: str) -> str:
    """Return the line of a monitoring plugin without performance data."""
    # A bar begins the performance data, so none may stand in the text.
    return f"DISK {_STATUS[levels.exit_code(level)]} - {clean(text).replace('|', '/')}"


def _worst_first(result: usage.TargetResult) -> int:
    return -LEVELS.index(result.level)


def _performance(
    measured: DiskMeasurement, result: usage.TargetResult, labels: set[str]
) -> list[str]:
    if result.bytes_used is None or result.bytes_available is None:
        return []
    label = _unique(_label(result), labels)
    usable = result.bytes_used + result.bytes_available
    # A folder's thresholds are shares of the whole filesystem.
    whole = (result.bytes_total or 0) if result.folder else usable
    target = _target(measured, result)
    warning, critical = (
        round(target.thresholds.percent_at(level, whole) / 100 * whole) for level in RISING[:2]
    )
    items = [f"'{label}'={result.bytes_used}B;{warning};{critical};0;{usable}"]
    if result.inodes_percent_used is not None and result.inodes_total:
        first, second = (
            f"{target.inodes.percent_at(level, result.inodes_total):.4g}" for level in RISING[:2]
        )
        used = f"{result.inodes_percent_used:.2f}"
        label = _unique(f"{_label(result)} inodes", labels)
        items.append(f"'{label}'={used}%;{first};{second};0;100")
    return items


def _label(result: usage.TargetResult) -> str:
    """Return a target's label: a folder and the filesystem mounted there have different ones."""
    label = f"folder {name_of(result)}" if result.folder and not result.name else name_of(result)
    # A label is in single quotes, in which a quote is written twice and "=" may not stand.
    return label.replace("'", "''").replace("=", "_")


def _unique(label: str, labels: set[str]) -> str:
    """Return the label with a number where it is taken: two names may differ in a "=" alone."""
    found, number = label, 1
    while found in labels:
        number += 1
        found = f"{label} {number}"
    labels.add(found)
    return found


def _target(measured: DiskMeasurement, result: usage.TargetResult) -> usage.Target:
    for target in measured.monitored.targets:
        if (target.path, target.folder) == (result.path, result.folder):
            return target
    return measured.monitored.discover or usage.Target(result.path)


def alerts_in_force(
    states: Mapping[str, AlertState], now: float, levels: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return the alerts in force, the worst first, as pages and JSON show them.

    Args:
        states: the stored alert states, by key.
        now: seconds since 1970.
        levels: the present levels, by key, where they were measured since.
    """
    bad = sorted(
        ((key, state) for key, state in states.items() if state.level != OK),
        key=lambda held: (-LEVELS.index(held[1].level), held[1].name),
    )
    return [
        {
            "key": key,
            "name": state.name,
            "level": state.level,
            "level_now": (levels or {}).get(key, state.level),
            "reason": state.reason,
            "since": state.since,
            "seconds": max(0.0, now - state.since),
        }
        for key, state in bad
    ]


def gauges(measured: DiskMeasurement) -> list[Gauge]:
    """Return the metrics of one measurement."""
    found = [gauge("chefwell_disk_last_run_timestamp_seconds", measured.time)]
    for result in measured.results:
        # Kind and path make a series unique; the name is for people.
        labels = {
            "target": name_of(result),
            "kind": "folder" if result.folder else "filesystem",
            "path": clean(result.path),
        }
        until = ((result.forecast or {}).get("days_to") or {}).get("full")
        values = {
            "level": _rank(result.level),
            "used_bytes": result.bytes_used,
            "available_bytes": result.bytes_available,
            "size_bytes": result.bytes_total,
            "used_ratio": _ratio(result.percent_used),
            "inodes_used_ratio": _ratio(result.inodes_percent_used),
            "time_to_full_seconds": None if until is None else until * DAY,
        }
        found += [gauge(f"chefwell_disk_{name}", value, labels) for name, value in values.items()]
    if measured.backups is not None:
        for tier, summary in measured.backups.tiers().items():
            found.append(gauge("chefwell_backups", summary.count, {"tier": tier}))
            found.append(gauge("chefwell_backups_size_bytes", summary.bytes, {"tier": tier}))
    for tier, use in measured.tiers.items():
        growth = None if use.growth_per_day is None else use.growth_per_day / DAY
        found.append(gauge("chefwell_backups_disk_bytes", use.bytes_used, {"tier": tier}))
        found.append(gauge("chefwell_backups_growth_bytes_per_second", growth, {"tier": tier}))
    if measured.fits is not None:
        found += [
            gauge("chefwell_disk_next_dump_bytes", measured.fits.next_dump),
            gauge("chefwell_disk_dump_fits", measured.fits.dump_fits),
            gauge("chefwell_disk_drill_fits", measured.fits.drill_fits),
            gauge("chefwell_disk_retention_nights", measured.fits.nights),
        ]
    return found


def _rank(level: str) -> int:
    return LEVELS.index(level)


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
