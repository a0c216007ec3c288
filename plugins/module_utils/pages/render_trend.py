# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the dashboard adds to the plan's page: bars, trends, forecasts, what fits, alerts."""

from __future__ import annotations

import gettext
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import quantity, shares
from ..common.levels import LEVEL_DISPLAY
from ..common.zip_equal import zip_equal
from ..disk import disk_causes
from ..disk.forecast import LEAST_DAYS, LEAST_SAMPLES
from .render_text import known_level, level_text, paint, wrap

SPARKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH = 20
SPARK_DAYS = 30
DAY = 86400


def filled_bar(percent: float, level: object, colour: bool) -> str:
    """Return a bar of `BAR_WIDTH` columns in the colour of its level; full only when it is full."""
    filled = min(BAR_WIDTH, math.floor(percent / 100 * BAR_WIDTH + 1e-9))
    code = LEVEL_DISPLAY[known_level(level)][2]
    return paint("█" * filled, code, colour) + paint("░" * (BAR_WIDTH - filled), "2", colour)


def daily(points: Sequence[tuple[float, float]], now: float) -> list[float | None]:
    """Return the highest value of each of the last `SPARK_DAYS` days, the oldest first.

    A day without a value is None.

    Args:
        points: time (seconds since 1970) and value.
        now: seconds since 1970.
    """
    days: list[float | None] = [None] * SPARK_DAYS
    for moment, value in points:
        index = SPARK_DAYS - 1 - math.floor((now - moment) / DAY)
        if 0 <= index < SPARK_DAYS:
            held = days[index]
            days[index] = value if held is None else max(held, value)
    return days


def sparkline(values: Sequence[float | None]) -> str:
    """Return one column a value, from the lowest to the highest; a point where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    marks = [
        "·"
        if value is None
        else SPARKS[min(7, int((value - low) / span * 8))]
        if span
        else SPARKS[3]
        for value in values
    ]
    return "".join(marks)


def trend_lines(
    translations: gettext.NullTranslations,
    names: Sequence[str],
    targets: Sequence[dict[str, Any]],
    colour: bool,
    tiers: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[str]:
    """Return a bar, the last days and the forecast of each target that has a history.

    Args:
        translations: of the page's language.
        names: what the targets are called.
        targets: as `usage.TargetResult.to_dict` returns them, with their `days` as `daily` does.
        colour: whether to use ANSI colours.
        tiers: those of the backup folder, as `tier_usage.TierUsage.to_dict` returns them.
    """
    shown = [
        (name, target)
        for name, target in zip_equal(names, targets)
        if sum(value is not None for value in target.get("days") or []) > 1
    ]
    if not shown:
        return []
    lines = ["", translations.gettext("📈 LAST 30 DAYS:")]
    for name, target in shown:
        known = [value for value in target["days"] if value is not None]
        percent = target.get("percent_used")
        if percent is None:
            continue
        span = shares.percent(min(known)), shares.percent(max(known))
        lines += wrap(f"   {name}:", 6)
        drawn = filled_bar(percent, target.get("level"), colour)
        lines.append(f"      {drawn} {shares.percent(percent):>5}")
        range_text = span[0] if span[0] == span[1] else f"{span[0]} - {span[1]}"
        lines.append(f"      {sparkline(target['days'])} {range_text}")
        lines += wrap(f"      {forecast_text(translations, target.get('forecast') or {})}", 6)
        if name == "Backups":
            for tier, use in (tiers or {}).items():
                lines += wrap(f"      {tier_text(translations, tier, use)}", 9)
    return lines


def tier_text(translations: gettext.NullTranslations, tier: str, use: Mapping[str, Any]) -> str:
    """Return one tier, such as `Daily: 24 MB, 0.02% of the disk, +1.2 MB a day`."""
    figures = {
        "tier": tier[:1].upper() + tier[1:],
        "size": quantity.size(use["bytes_used"]),
        "share": shares.percent(use["percent_used"]),
    }
    text = translations.gettext("%(tier)s: %(size)s, %(share)s of the disk") % figures
    growth = use.get("growth_per_day")
    if growth is None:
        return text + ", " + translations.gettext("growth not known yet")
    return f"{text}, {growth_text(translations, growth)}"


def growth_text(translations: gettext.NullTranslations, a_day: float) -> str:
    """Return bytes a day, such as `+1.2 GB a day`."""
    sign = "-" if a_day < 0 else "+"
    return translations.gettext("%(size)s a day") % {"size": f"{sign}{quantity.size(abs(a_day))}"}


def forecast_text(translations: gettext.NullTranslations, forecast: dict[str, Any]) -> str:
    """Return a forecast, such as `+1.2 GB a day, full in 45 days (38 to 60), high confidence`."""
    tr = translations.gettext
    if forecast.get("per_day") is None:
        return _no_forecast_text(translations, forecast)
    growth = growth_text(translations, forecast["per_day"])
    until = (forecast.get("days_to") or {}).get("full")
    if forecast.get("status") != "growing" or until is None:
        return tr("Forecast: %(growth)s, not filling up") % {"growth": growth}
    early, late = forecast.get("days_to_full_early"), forecast.get("days_to_full_late")
    times = {
        "growth": growth,
        "time": disk_causes.days_text(translations, until),
        "early": disk_causes.days_text(translations, until if early is None else early),
    }
    confidence = {
        "high": tr("high confidence"),
        "medium": tr("medium confidence"),
        "low": tr("low confidence"),
    }[str(forecast.get("confidence"))]
    if late is not None and disk_causes.days_text(translations, late) == times["early"]:
        text = tr("Forecast: %(growth)s, full in %(time)s") % times
    elif late is None:
        text = tr("Forecast: %(growth)s, full in %(time)s (%(early)s at the earliest)") % times
    else:
        times["late"] = disk_causes.days_text(translations, late)
        text = tr("Forecast: %(growth)s, full in %(time)s (%(early)s to %(late)s)") % times
    return f"{text}, {confidence}"


def _no_forecast_text(translations: gettext.NullTranslations, forecast: dict[str, Any]) -> str:
    """Return why there is no forecast, and when there will be one, such as `Forecast: in 18 hours,
    after a clean-up or jump 6 hours ago`."""
    tr = translations.gettext
    samples, days = forecast.get("samples") or 0, forecast.get("days") or 0.0
    if samples < 2 or not days:
        return tr("Forecast: not enough data yet")
    between = days / (samples - 1)
    missing = max(LEAST_DAYS - days, (LEAST_SAMPLES - samples) * between, between)
    times = {
        "time": disk_causes.days_text(translations, missing),
        "since": disk_causes.days_text(translations, days),
    }
    if (forecast.get("history_days") or 0.0) > days + between:
        return tr("Forecast: in %(time)s, after a clean-up or jump %(since)s ago") % times
    return tr("Forecast: in %(time)s, after the first %(since)s") % times


def fit_lines(
    translations: gettext.NullTranslations, targets: Sequence[dict[str, Any]]
) -> list[str]:
    """Return whether tonight's dump, a drill and the retention plan fit, each in a line."""
    found = [
        cause
        for target in targets
        for cause in target.get("causes") or []
        if cause["code"] in ("dump_fit", "drill_fit", "retention_fit")
    ]
    order = ("dump_fit", "drill_fit", "retention_fit")
    lines: list[str] = []
    for cause in sorted(found, key=lambda cause: order.index(cause["code"])):
        mark = LEVEL_DISPLAY[known_level(cause["level"])][0]
        text = disk_causes.cause_text(translations, cause)
        lines += wrap(f"   {mark} {text[0].upper()}{text[1:]}", 6)
    return ["", translations.gettext("🔮 WHAT FITS:"), *lines] if lines else []


def alert_lines(
    translations: gettext.NullTranslations, alerts: Sequence[dict[str, Any]], colour: bool
) -> list[str]:
    """Return the alerts in force.

    Args:
        translations: of the page's language.
        alerts: each a `name`, its `level`, for how many `seconds` it has lasted and perhaps its
            `level_now`: one that is better has not ended yet, see `alerts.level_in_force`.
        colour: whether to use ANSI colours.
    """
    if not alerts:
        return []
    lines = ["", translations.gettext("🔔 ALERTS IN FORCE:")]
    for alert in alerts:
        since = quantity.duration(translations, alert["seconds"])
        text = translations.gettext("%(level)s for %(time)s: %(name)s") % {
            "level": level_text(alert["level"], colour),
            "time": since,
            "name": alert["name"],
        }
        at = alert.get("level_now", alert["level"])
        if at != alert["level"]:
            text += translations.gettext(" (now %(level)s)") % {"level": level_text(at, colour)}
        lines += wrap(f"   {text}", 6)
    return lines
