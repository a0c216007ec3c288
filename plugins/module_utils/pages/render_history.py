# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plots of past drills: recovery times and backup sizes over time."""

from __future__ import annotations

import datetime
import gettext
import math
from collections.abc import Callable
from typing import Any

from ..common import quantity

# The most drills that a plot shows: two years of weekly ones.
MOST = 104
WIDTH, HEIGHT = 720.0, 120.0
STATE = {"passed": "ok", "failed": "bad", "could_not_verify": "unknown"}


def plots(
    translations: gettext.NullTranslations, past: list[dict[str, Any]], objective: float | None
) -> list[dict[str, Any]]:
    """Return the plots, positions in a box of `WIDTH` by `HEIGHT`; none for fewer than two drills.

    Args:
        translations: of the titles.
        past: `time` (seconds since 1970), `verdict`, `rto_seconds` and `bytes` of each drill,
            oldest first.
        objective: seconds that a recovery may take; None for no objective.
    """
    tr = translations.gettext
    known = [one for one in past if isinstance(one.get("time"), (int, float))][-MOST:]
    if len(known) < 2:
        return []
    return [
        _plot(tr("Recovery time"), known, "rto_seconds", quantity.brief_duration, objective),
        _plot(tr("Backup size"), known, "bytes", quantity.size, None),
    ]


def _plot(
    title: str,
    past: list[dict[str, Any]],
    key: str,
    shown: Callable[[float], str],
    limit: float | None,
) -> dict[str, Any]:
    values = [one[key] for one in past if one.get(key) is not None]
    highest = max([*values, 0]) or 1
    # A limit far above every value would press the line flat: the page writes it, without a line.
    drawn = limit is not None and limit <= 4 * highest
    top = _round_up(max(highest, limit or 0) if drawn else highest)
    first, span = past[0]["time"], (past[-1]["time"] - past[0]["time"]) or 1
    points = []
    for one in past:
        value = one.get(key)
        points.append(
            {
                "x": WIDTH * (one["time"] - first) / span,
                "y": HEIGHT if value is None else HEIGHT * (1 - value / top),
                "state": STATE.get(str(one.get("verdict")), "unknown"),
                "known": value is not None,
                "tip": f"{_day(one['time'])}: {'?' if value is None else shown(value)}",
            }
        )
    return {
        "title": title,
        "points": points,
        "line": " ".join(f"{at['x']:.1f},{at['y']:.1f}" for at in points if at["known"]),
        "ticks": [
            {"y": HEIGHT * (1 - share), "text": shown(top * share) if share else "0"}
            for share in (0, 0.5, 1)
        ],
        "limit": HEIGHT * (1 - (limit or 0) / top) if drawn else None,
        "limit_text": "" if limit is None else shown(limit),
        "first": _day(past[0]["time"]),
        "last": _day(past[-1]["time"]),
    }


def _day(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d")


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value)
