# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The row counts of the last drill that passed, for the next one to compare with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.messages import _
from ..common.system_errors import reason
from ..database.catalogue import ObjectName
from ..validation.previous_counts import PreviousDrill, counted

COUNTS = "last-passed-counts.json"


def save(state_dir: str, result: Mapping[str, Any]) -> None:
    """Save a drill's row counts.

    Args:
        state_dir: the state folder of the stage.
        result: the report of a drill that passed.

    Raises:
        ResilienceError: the state folder cannot be written to.
    """
    path = os.path.join(state_dir, COUNTS)
    rows = [[*key, count] for key, count in sorted(counted(result["schemas"]).items())]
    content = {"time": result["time"], "file": result["backup"].get("file", "?"), "rows": rows}
    try:
        replace_json(path, content)
    except OSError as error:
        raise ResilienceError(
            _("the counts cannot be saved: %(why)s", why=reason(error)),
            option="state_dir",
            value=path,
            remedy=_("make room there, or name another folder"),
        ) from error


def read(state_dir: str) -> PreviousDrill | str | None:
    """Return the row counts of the last drill that passed.

    Returns:
        None where no drill has passed yet; the reason as text, if the counts cannot be read: a
        damaged file is not taken for a missing one.
    """
    try:
        with open(os.path.join(state_dir, COUNTS), encoding="utf-8") as file:
            values = json_text.load(file)
        rows: dict[ObjectName, int] = {
            (name, table): int(count) for name, table, count in values["rows"]
        }
        return PreviousDrill(str(values["time"]), str(values["file"]), rows)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        return _(
            "the counts of the last drill cannot be read: %(why)s",
            why=f"{type(error).__name__}: {error}",
        )
