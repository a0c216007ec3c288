# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore drill: one backup restored in staging and validated, from its choice to the clean-up.

The verdict is one of three. `failed` concerns the backup: it is damaged, did not restore whole, or
its content is not what was dumped. `could_not_verify` concerns the place of the drill: no room, no
programs, a backend that does not start, an interruption. Only `passed` means that the backup
restores.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Any

from ..backup import expectation
from ..common import interrupt
from ..common.errors import ResilienceError
from ..common.messages import _
from ..proof import drill_counts, drill_result, unpack_folder
from ..proof.backup_source import BackupSource
from ..proof.proof_settings import PASSED, Progress, ProofSettings
from ..staging import production_guard, staging, staging_state
from .drill_run import DrillRun


def set_up(settings: ProofSettings) -> dict[str, Any]:
    """Make an empty staging that stays until it is cleaned up.

    Returns:
        `engine`, `host`, `port`, `database` and `seconds`.

    Raises:
        ResilienceError: it cannot be made, or a drill runs. What was made is removed again.
    """
    started = time.monotonic()
    with staging_state.locked(settings.staging):
        unpack_folder.remove_leftovers(settings.staging)
        state = staging_state.read(settings.staging)
        engine = staging.make_engine(settings.staging)
        engine.check()
        restored = state.restored if state else None
        staging_state.write(settings.staging, kept=True, restored=restored)
        try:
            server = engine.up()
            production_guard.refuse_production(settings.staging, server.host, server.port)
            interrupt.raise_pending()
        except BaseException:
            with interrupt.deferred():
                _remove_unless_kept(settings, state)
            raise
    return {
        "engine": settings.staging.engine,
        "host": server.host,
        "port": server.port,
        "database": settings.staging.database,
        "seconds": round(time.monotonic() - started, 3),
    }


def prepare(settings: ProofSettings) -> bool:
    """Prepare an empty staging that another program starts, as Ansible does with compose.

    Returns:
        Whether anything was made; not where staging runs already.

    Raises:
        ResilienceError: it cannot be made, or a drill runs. What was made is removed again.
    """
    with staging_state.locked(settings.staging):
        unpack_folder.remove_leftovers(settings.staging)
        state = staging_state.read(settings.staging)
        engine = staging.make_engine(settings.staging)
        engine.check()
        if state is not None and engine.find() is not None:
            return False
        staging_state.write(settings.staging, kept=True, restored=None)
        try:
            engine.prepare()
        except BaseException:
            with interrupt.deferred():
                _remove_unless_kept(settings, state)
            raise
    return True


def _remove_unless_kept(settings: ProofSettings, before: staging_state.StagingState | None) -> None:
    """Remove a staging that could not be made, unless it stood before: it is slow, or paused."""
    if before is None or not before.kept:
        staging_state.remove(settings.staging)


def clean_up(settings: ProofSettings, *, cached: bool = False) -> list[str]:
    """Remove staging, and return the names of what was removed.

    Args:
        settings: of the drill.
        cached: also what is kept to make the next staging sooner.
    """
    # A signal does not leave half of it; each step has a time limit.
    with staging_state.locked(settings.staging), interrupt.deferred():
        removed = staging_state.remove(settings.staging, cached=cached)
        return removed + unpack_folder.remove_unpacked(settings.staging.work_dir)


def run(
    settings: ProofSettings,
    *,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    from_offsite: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a restore drill of one backup.

    Args:
        settings: of the drill.
        path, tier, date: which backup; the newest of all when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        keep: leave staging standing. One that `set_up` made stays anyway.
        progress: called when a phase begins, and with what it does.

    Returns:
        The result, as `docs/results.md` describes it; it is also saved in the state folder.

    Raises:
        ResilienceError: there is no such backup, staging would be production, or another drill
            runs: nothing was touched, and no verdict is given.
    """
    with staging_state.locked(settings.staging):
        source = BackupSource(path, tier, date, from_offsite)
        drill = DrillRun(settings, source, keep, progress or _silent)
        result = drill.run(functools.partial(drill_result.save, settings.state_dir))
        drill_result.save(settings.state_dir, result)
        if result["verdict"] == PASSED:
            drill_counts.save(settings.state_dir, result)
    return result


def validate(settings: ProofSettings, *, progress: Progress | None = None) -> dict[str, Any]:
    """Validate the staging that exists, against the backup that was restored into it.

    Returns:
        A result as `run` gives it; its `restore` is the one that made this staging.

    Raises:
        ResilienceError: there is no staging, or nothing was restored into it.
    """
    with staging_state.locked(settings.staging):
        state = staging_state.read(settings.staging)
        engine = staging.make_engine(settings.staging)
        server = engine.find()
        if state is None or server is None or state.restored is None:
            raise ResilienceError(
                _("there is no restored staging"),
                option="work_dir",
                value=settings.staging.work_dir,
                remedy=_("run setup-staging and test-restore-staging first"),
            )
        production_guard.refuse_production(settings.staging, server.host, server.port)
        with open(
            os.path.join(settings.staging.work_dir, staging_state.EXPECTED), encoding="utf-8"
        ) as file:
            expected = expectation.load(file)
        result = DrillRun(settings, None, True, progress or _silent).validate_only(
            state.restored, server, expected, engine.backend_url()
        )
        drill_result.save(settings.state_dir, result)
    return result


def _silent(_phase: str, _what: str) -> None:
    return None
