# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sync: its lock, its steps (`sync_run`), and the state that it leaves for the next one."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence

from ..common.errors import ResilienceError, explanation
from ..common.messages import _
from . import offsite_guards
from .busy_runs import busy_result, lock_holders, reset_busy
from .offsite_settings import FAILED, LOCKED, OK, WARNING, SyncResult, SyncSettings
from .offsite_state import locked, save_state
from .sync_run import SyncRun


def sync(
    settings: SyncSettings,
    *,
    dry_run: bool = False,
    overrides: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Make the server's folder equal to the backup tree, if every guard agrees.

    Args:
        settings: from where, to where, how.
        dry_run: only report what would be done. It takes no lock and writes nothing anywhere.
        overrides: names of guards (`offsite_guards.GUARDS`) that may not refuse this run.
        progress: called with bytes done and bytes in all.

    Raises:
        ResilienceError: a setting is wrong, or rsync or ssh is not installed.
    """
    check_overrides(overrides)
    run = SyncRun(settings, dry_run, tuple(overrides), progress)
    if dry_run:
        return run.result(*run.run())
    with locked(settings) as lock:
        if lock is None:
            message = _("another sync is running, so this one ends")
            return busy_result(settings, run.result(LOCKED, message), lock_holders(settings))
        run.keep_open = (lock,)
        result = run.result(*run.run())
        if result.status == LOCKED:
            return busy_result(settings, result, [])
        reset_busy(settings)
        problem = save_state(
            settings,
            run.state,
            result,
            run.tree,
            run.left_out,
            run.fingerprint,
            again=run.again_state(),
            old_folder=run.old_folder,
        )
    if problem:
        doubtful = (*result.warnings, problem)
        status = WARNING if result.status == OK else result.status
        result = dataclasses.replace(result, warnings=doubtful, status=status)
    return result


def check_overrides(names: Sequence[str]) -> None:
    """Check the names of guards that may not refuse a run.

    Raises:
        ResilienceError: there is no such guard.
    """
    for name in names:
        if name not in offsite_guards.GUARDS:
            raise ResilienceError(
                "there is no such guard",
                option="override",
                value=name,
                remedy=f"name one of {', '.join(offsite_guards.GUARDS)}",
            )


def broken_result(settings: SyncSettings, error: Exception, *, dry_run: bool) -> SyncResult:
    """Return the result of a sync that raised an error.

    Args:
        settings: of the sync.
        error: what it raised.
        dry_run: whether nothing should have been done.
    """
    return SyncResult(
        FAILED,
        explanation(error),
        str(settings.transport),
        dry_run,
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        kind="error",
        name=settings.name,
    )
