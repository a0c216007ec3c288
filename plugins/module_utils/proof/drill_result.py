# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the newest drill: saved in the state folder, read again, and as an exit code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..common import iso_time, json_text
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.messages import _
from ..common.system_errors import reason
from .proof_settings import COULD_NOT_VERIFY, FAILED, PASSED

EXIT_CODES = {PASSED: 0, FAILED: 2, COULD_NOT_VERIFY: 3}
RESULT = "drill.json"


def exit_code(result: Mapping[str, Any]) -> int:
    """Return 0 passed, 2 failed or 3 could not verify (monitoring-plugins convention).

    It is 1 where the newest backup passed and is older than the RPO allows.
    """
    return 1 if result.get("rpo_broken") else EXIT_CODES[result["verdict"]]


def last_result(state_dir: str) -> dict[str, Any] | None:
    """Return the newest drill's result; None before one, or where it cannot be read."""
    try:
        with open(os.path.join(state_dir, RESULT), encoding="utf-8") as file:
            found: dict[str, Any] = json_text.load(file)
        return found if _is_result(found) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_result(found: dict[str, Any]) -> bool:
    """Return whether a file holds what its readers need of a result.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: it is something else altogether.
    """
    iso_time.parse(found["time"])
    backup, phases = found["backup"], found["phases"]
    numbers = [found.get("rto_seconds"), found.get("rpo_seconds"), backup.get("bytes")]
    numbers += [phase["seconds"] for phase in phases]
    return (
        found["verdict"] in EXIT_CODES
        and isinstance(backup.get("file", ""), str)
        and all(isinstance(phase["name"], str) for phase in phases)
        and all(one is None or isinstance(one, (int, float)) for one in numbers)
    )


def save(state_dir: str, result: Mapping[str, Any]) -> None:
    """Save the newest result.

    Raises:
        ResilienceError: the state folder cannot be written to.
    """
    path = os.path.join(state_dir, RESULT)
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        replace_json(path, result)
    except OSError as error:
        raise ResilienceError(
            _("the result cannot be saved: %(why)s", why=reason(error)),
            option="state_dir",
            value=path,
            remedy=_("make room there, or name another folder"),
        ) from error
