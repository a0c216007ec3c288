# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the restored rows with those of the last drill that passed.

Used only where neither a manifest nor production says what the backup must hold. It is weaker
evidence: tables grow, shrink and are dropped in normal life, so that nothing here proves a backup
bad. A table that lost many rows makes the check skipped, never passed, because nothing shows that
production lost them too. The next drill is compared with this one, so that a tenant that was closed
is reported once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import checks
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _, ngettext
from ..database.catalogue import ObjectName
from .check_context import dotted_name


@dataclasses.dataclass(frozen=True)
class PreviousDrill:
    """The row counts of an earlier drill.

    Attributes:
        time: of that drill, ISO 8601.
        file: the backup that it restored.
        rows: by (schema, table).
    """

    time: str
    file: str
    rows: Mapping[ObjectName, int]


@dataclasses.dataclass(frozen=True)
class FallLimits:
    """How many rows a table may lose before it is reported.

    Attributes:
        percent: of its rows.
        least_rows: a table that had fewer is not reported: some are emptied every night.
    """

    percent: float = 50
    least_rows: int = 20


def counted(schemas: Sequence[Mapping[str, Any]]) -> dict[ObjectName, int]:
    """Return the rows by table of a report's schemas; what was not counted is left out."""
    return {
        (schema["name"], table["name"]): table["rows"]
        for schema in schemas
        for table in schema["tables"]
        if table["rows"] is not None
    }


def compare(
    before: PreviousDrill, schemas: Sequence[Mapping[str, Any]], fall: FallLimits
) -> Evidence:
    """Return which tables vanished or lost rows since an earlier drill.

    Args:
        before: that drill.
        schemas: the restored ones, as `ValidationReport` has them.
        fall: the limits.
    """
    now = counted(schemas)
    there = {(schema["name"], table["name"]) for schema in schemas for table in schema["tables"]}
    doubts = [
        Finding(
            "previous.table_missing",
            dotted_name(key),
            ngettext(
                "%(table)s is not in this backup, the last drill counted %(count)d row in it",
                "%(table)s is not in this backup, the last drill counted %(count)d rows in it",
                before.rows[key],
                table=dotted_name(key),
            ),
        )
        for key in sorted(set(before.rows) - there)
    ]
    doubts += [
        Finding(
            "previous.rows_fell",
            dotted_name(key),
            _(
                "%(table)s has %(now)d rows, in the last drill it had %(before)d",
                table=dotted_name(key),
                now=now[key],
                before=count,
            ),
        )
        for key, count in sorted(before.rows.items())
        if key in now and count >= fall.least_rows and _fell(count, now[key], fall.percent)
    ]
    return Evidence(_evidence(before, now), doubts, skipped=bool(doubts))


def _fell(before: int, now: int, percent: float) -> bool:
    return now == 0 or now < before * (1 - percent / 100)


def _evidence(before: PreviousDrill, now: Mapping[ObjectName, int]) -> Message:
    both = sorted(set(now) & set(before.rows))
    moved = {key: now[key] - before.rows[key] for key in both if now[key] != before.rows[key]}
    most = sorted(moved, key=lambda key: (-abs(moved[key]), key))
    changed = [f"{dotted_name(key)} {moved[key]:+d}" for key in most]
    return _(
        "compared with the drill of %(time)s (%(file)s), which is weaker evidence than a manifest"
        " or production: of %(count)d tables %(same)d have as many rows; since then: %(moved)s",
        time=before.time,
        file=before.file,
        count=len(both),
        same=len(both) - len(moved),
        moved=checks.named(changed, ", ") if changed else _("nothing"),
    )
