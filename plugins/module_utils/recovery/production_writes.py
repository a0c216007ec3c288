# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tables of production were written to between a restore and its switch.

PostgreSQL counts rows written by table. The counts at the beginning of a restore are kept in the
state folder and compared with those of the moment of the switch.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from ..common.files import replace_json
from ..database.connection import driver
from . import recovery
from .recovery import RecoverySettings

FILE = "recovery-writes.json"


def counters(settings: RecoverySettings) -> dict[str, int] | None:
    """Return the rows written to each table of production so far; None where it cannot be read."""
    with recovery.production_cursor(settings.target) as cursor:
        if cursor is None:
            return None
        try:
            cursor.execute(
                "SELECT relid::text, n_tup_ins + n_tup_upd + n_tup_del"
                " FROM pg_catalog.pg_stat_user_tables"
            )
            return dict(cursor.fetchall())
        except driver().Error:
            return None


def save(settings: RecoverySettings, name: str, before: dict[str, int] | None) -> None:
    """Keep the counters of the beginning of a restore.

    Args:
        settings: of the recovery.
        name: the restored database.
        before: from `counters`.
    """
    values: dict[str, Any] = {"name": name, "counters": before}
    # Without the file the number of tables is unknown, which the switch says.
    with contextlib.suppress(OSError):
        os.makedirs(settings.drill.state_dir, mode=0o700, exist_ok=True)
        replace_json(_path(settings), values)


def tables_written(settings: RecoverySettings, name: str) -> int | None:
    """Return how many tables of production were written to since a restore; None if unknown."""
    try:
        with open(_path(settings), encoding="utf-8") as file:
            saved = json.load(file)
        before: dict[str, int] | None = saved["counters"] if saved["name"] == name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    now = counters(settings)
    if before is None or now is None:
        return None
    return sum(before.get(table, 0) != count for table, count in now.items())


def _path(settings: RecoverySettings) -> str:
    return os.path.join(settings.drill.state_dir, FILE)
