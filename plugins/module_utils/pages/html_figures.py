# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of a drill in the HTML report: recovery objectives, and phases on a time axis."""

from __future__ import annotations

import gettext
import math
from typing import Any

from ..common import quantity
from . import render_drill, render_titles

# Distances between the ticks of a time axis, in seconds, as clocks have them.
ROUND_SECONDS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)


def objectives(
    translations: gettext.NullTranslations, drill: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return both objectives; none where neither was measured and none is set."""
    found = [_objective(translations, drill, key) for key in ("rto", "rpo")]
    return found if any(one["limit"] or one["state"] != "unknown" for one in found) else []


def _objective(
    translations: gettext.NullTranslations, drill: dict[str, Any], key: str
) -> dict[str, Any]:
    tr = translations.gettext
    measured = drill.get(f"{key}_seconds")
    limit = (drill.get("objectives") or {}).get(f"{key}_seconds")
    if measured is None:
        state = "unknown"
    elif limit is None or render_drill.verdict(drill) == "failed":
        state = "none"  # a system that did not pass is no objective that was met
    else:
        state = "ok" if measured <= limit else "bad"
    longest = max(measured or 0, limit or 0) or 1
    return {
        "name": key.upper(),
        "meaning": tr("from the start of a restore to a validated, serving system")
        if key == "rto"
        else tr("age of the newest restorable backup"),
        "state": state,
        "measured": quantity.duration(translations, measured),
        "limit": None if limit is None else quantity.duration(translations, limit),
        "share": 100 * (measured or 0) / longest,
        "limit_share": None if limit is None else 100 * limit / longest,
    }


def _step(span: float) -> float:
    """Return a round distance between two ticks, so that about five of them fit."""
    rough = max(span / 5, 0.001)  # a tick is a millisecond at least
    if 20 < rough <= 86400:
        return float(next(step for step in ROUND_SECONDS if step >= rough))
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough)


def phases(
    translations: gettext.NullTranslations, measured: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """Return the phases on a time axis; positions in percent of its length."""
    known = [
        (str(phase.get("name")), float(phase["started"]), float(phase["seconds"]))
        for phase in measured
        if phase.get("started") is not None and phase.get("seconds") is not None
    ]
    if not known or {name for name, _started, _seconds in known} == {"cleanup"}:
        return None  # a drill that only cleaned up did nothing that takes time
    start = min(started for _name, started, _seconds in known)
    end = max(started + seconds for _name, started, seconds in known)
    span = max(end - start, 0.001)
    step = _step(span)
    longest = max(seconds for _name, _started, seconds in known)
    return {
        "span": span,
        "ticks": [
            {"at": 100 * step * number / span, "seconds": step * number}
            for number in range(int(span / step + 1e-9) + 1)
        ],
        "bars": [
            {
                "name": render_titles.phase_title(translations, name),
                "at": 100 * (started - start) / span,
                "length": 100 * seconds / span,
                "seconds": seconds,
                "longest": seconds == longest,
            }
            for name, started, seconds in known
        ],
    }
