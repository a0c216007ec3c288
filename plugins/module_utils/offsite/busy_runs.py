# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that find another job at work: who holds the lock, and for how many runs in a row."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence

from ..common import json_text
from ..common.files import replace_json
from ..common.messages import _, join
from ..common.system_errors import reason
from .offsite_settings import FAILED, SyncResult, SyncSettings
from .offsite_state import state_path

# So many runs in a row that find another job at work are a failure.
MOST_BUSY_RUNS = 2


def busy_result(settings: SyncSettings, result: SyncResult, holders: Sequence[str]) -> SyncResult:
    """Return the result of a run that another job kept from working.

    Once is no failure. Several times in a row is: then nothing is copied any more.
    """
    try:
        runs, since = _count_busy(settings, result.time)
    except OSError as error:
        path = state_path(settings, "-busy.json")
        problem = _("the state %(path)s cannot be written: %(why)s", path=path, why=reason(error))
        return dataclasses.replace(result, warnings=(*result.warnings, problem))
    if runs < MOST_BUSY_RUNS:
        return result
    message = _(
        "%(runs)d runs in a row since %(since)s found another job at work: %(why)s",
        runs=runs,
        since=since,
        why=join([result.message, join(holders)], ": "),
    )
    remedy = _("look what the other job is doing, and end it if it hangs")
    return dataclasses.replace(
        result, status=FAILED, kind="locked_out", message=message, remedy=remedy
    )


def lock_holders(settings: SyncSettings) -> list[str]:
    """Return the processes that hold the lock: program, number and state, as far as permitted."""
    path = state_path(settings, ".lock")
    try:
        lock = os.stat(path)
    except OSError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            descriptors = os.listdir(f"/proc/{pid}/fd")
            if any(_is_same(f"/proc/{pid}/fd/{number}", lock) for number in descriptors):
                # proc(5): the program's name in brackets, then the state, T for stopped.
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    name, _bracket, fields = file.read().rpartition(")")
                program, state = name.partition("(")[2], fields.split()[0]
                found.append(f"{program} ({pid}{', stopped' if state in 'Tt' else ''})")
    return [one for one in found if f"({os.getpid()}" not in one]


def _is_same(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _count_busy(settings: SyncSettings, time_text: str) -> tuple[int, str]:
    """Count a run that found another job at work.

    Args:
        settings: of the sync.
        time_text: when the run began, ISO 8601.

    Returns:
        How many runs in a row found that, and when the first of them began.

    Raises:
        OSError: the count cannot be stored.
    """
    path = state_path(settings, "-busy.json")
    runs, since = 0, time_text
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        with open(path, encoding="utf-8") as file:
            values = json_text.load(file)
        runs, since = int(values["runs"]), str(values["since"])
    replace_json(path, {"runs": runs + 1, "since": since})
    return runs + 1, since


def reset_busy(settings: SyncSettings) -> None:
    """Forget earlier runs that found another job at work."""
    with contextlib.suppress(OSError):
        os.unlink(state_path(settings, "-busy.json"))
