# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freshness: whether each tier has the backups of its schedule. Pure."""

from __future__ import annotations

import datetime
from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from . import backup_names
from .inventory import BackupFiles, Inventory

# Hours between two backups of a tier: the plan's nights, weeks and months.
SCHEDULE = {"daily": 24.0, "weekly": 168.0, "monthly": 744.0}
# A backup takes time, and cron jobs wait for each other: a quarter late is not late yet.
PATIENCE = 1.25
# A clock may differ this much before a backup counts as one from the future.
CLOCK_HOURS = 1.0
MOST_GAPS = 20


def of(tree: Inventory, schedule: Mapping[str, float], now: datetime.datetime) -> dict[str, Any]:
    """Return the freshness of each tier.

    Args:
        tree: the backups.
        schedule: hours between two backups by tier; a tier that is not in it is not checked.
        now: with its time zone.

    Returns:
        By tier `newest` (path or None), `age_hours` (None without one), `expected_hours`, `fresh`,
        and `gaps`: the moments (local ISO 8601) at which a backup between the oldest and the newest
        should have been taken and was not.

    Raises:
        ResilienceError: the schedule is malformed.
    """
    backups = _of_databases(tree)
    return {
        tier: _tier(backups, backups.table.rows_of(tier), hours, now)
        for tier, hours in schedule_hours(schedule).items()
        if tier in tree.tier_names
    }


def _of_databases(tree: Inventory) -> BackupFiles:
    """Return the backups without saved roles, which have a backup's date and no database.

    A product may be called `roles`: where all names begin so, they are its backups.
    """
    backups = tree.backups
    found = backups.without(lambda path: backup_names.names_roles(path.rpartition("/")[2]))
    return found if len(found) else backups


def schedule_hours(schedule: Mapping[str, Any]) -> dict[str, float]:
    """Return the schedule as numbers.

    Raises:
        ResilienceError: it holds anything but hours above 0.
    """
    for tier, hours in schedule.items():
        if isinstance(hours, bool) or not isinstance(hours, (int, float)) or hours <= 0:
            raise ResilienceError(
                "the schedule holds a value that is not a number of hours above 0",
                option="schedule",
                value={tier: hours},
                remedy="give the hours between two backups of each tier, such as {'daily': 24}",
            )
    return {tier: float(hours) for tier, hours in schedule.items()}


def _tier(files: BackupFiles, rows: range, hours: float, now: datetime.datetime) -> dict[str, Any]:
    first = rows.start
    ages = array("d", (files[row].age_seconds(now) / 3600 for row in rows))
    past = sorted(
        (row for row in rows if ages[row - first] >= -CLOCK_HOURS),
        key=lambda row: -ages[row - first],
    )
    if not past:
        return {
            "newest": None,
            "age_hours": None,
            "expected_hours": hours,
            "fresh": False,
            "gaps": [],
        }
    age = ages[past[-1] - first]
    gaps: deque[str] = deque(maxlen=MOST_GAPS)
    for earlier, later in zip(past, past[1:]):
        between = ages[earlier - first] - ages[later - first]
        for number in range(1, round(between / hours)):
            missed = now - datetime.timedelta(hours=ages[earlier - first] - number * hours)
            gaps.append(missed.astimezone().isoformat(timespec="minutes"))
    return {
        "newest": files[past[-1]].path,
        "age_hours": round(age, 2),
        "expected_hours": hours,
        "fresh": age <= hours * PATIENCE,
        "gaps": list(gaps),
    }


def problems(found: Mapping[str, Any]) -> list[str]:
    """Return what is late or missing, one sentence each."""
    sentences: list[str] = []
    for tier, state in found.items():
        if state["newest"] is None:
            sentences.append(_("%(tier)s has no backup that counts", tier=tier))
        elif not state["fresh"]:
            sentences.append(
                _(
                    "%(tier)s: the newest backup is %(hours)s hours old, one is expected every "
                    "%(expected)s hours",
                    tier=tier,
                    hours=f"{state['age_hours']:.1f}",
                    expected=f"{state['expected_hours']:g}",
                )
            )
        sentences += [
            _("%(tier)s: no backup was taken at %(moment)s", tier=tier, moment=moment)
            for moment in state["gaps"]
        ]
    return sentences
