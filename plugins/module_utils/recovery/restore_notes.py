# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a restore until its switch.

PostgreSQL counts rows written by table. The counts at the beginning of a restore are compared with
those of the moment of the switch: what was written in between is in the old database alone. And a
database that was gone gets the comment that its backup holds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any

from ..common import json_text
from ..common.files import replace_json
from ..database.connection import driver
from . import recovery
from .recovery import RecoverySettings

FILE = "recovery-writes.json"


def counters(settings: RecoverySettings, schema: str = "") -> dict[str, int] | None:
    """Return the rows written to each table of production so far; None where it cannot be read.

    Args:
        settings: of the recovery.
        schema: the only schema that counts; empty for all.
    """
    with recovery.production_cursor(settings.target) as cursor:
        if cursor is None:
            return None
        try:
            cursor.execute(
                "SELECT relid::text, n_tup_ins + n_tup_upd + n_tup_del"
                " FROM pg_catalog.pg_stat_user_tables WHERE %s IN ('', schemaname)",
                [schema],
            )
            return dict(cursor.fetchall())
        except driver().Error:
            return None


def save(
    settings: RecoverySettings,
    name: str,
    before: dict[str, int] | None,
    comment: str | None = None,
) -> None:
    """Note the counters of the beginning of a restore.

    Args:
        settings: of the recovery.
        name: the restored database, or schema.
        before: from `counters`.
        comment: of the database that is gone, as its backup has it.
    """
    values: dict[str, Any] = {"name": name, "counters": before, "comment": comment}
    # Without the file the number of tables is unknown, which the switch reports.
    with contextlib.suppress(OSError):
        os.makedirs(settings.drill.state_dir, mode=0o700, exist_ok=True)
        replace_json(_path(settings), values)


def tables_written(
    settings: RecoverySettings, name: str, schema: str = "", *, kept: str | None = None
) -> int | None:
    """Return how many tables of production were written to since a restore; None if unknown.

    Args:
        settings: of the recovery.
        name: the restored database, or schema.
        schema: the only schema that counts; empty for all.
        kept: the name under which production's database is kept by now; left out before a switch.
            Sessions count what they write when they end, so it is known best after that.
    """
    before: dict[str, int] | None = _read(settings, name).get("counters")
    if kept:
        target = dataclasses.replace(settings.target, dbname=kept)
        settings = dataclasses.replace(settings, target=target)
    now = counters(settings, schema)
    if before is None or now is None:
        return None
    return sum(before.get(table, 0) != count for table, count in now.items())


def comment(settings: RecoverySettings, name: str) -> str | None:
    """Return the comment that was noted for a restored database; None without one."""
    found = _read(settings, name).get("comment")
    return found if isinstance(found, str) else None


def _read(settings: RecoverySettings, name: str) -> dict[str, Any]:
    try:
        with open(_path(settings), encoding="utf-8") as file:
            saved: dict[str, Any] = json_text.load(file)
        # A damaged file is as good as none.
        known = isinstance(saved["counters"], dict) or saved["counters"] is None
        return saved if saved["name"] == name and known else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _path(settings: RecoverySettings) -> str:
    return os.path.join(settings.drill.state_dir, FILE)
