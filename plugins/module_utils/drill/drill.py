# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill: one backup restored in staging and questioned, from choosing it to clean-up.

Its verdict is one of three. `failed` speaks of the backup: it is damaged, did not restore whole,
or what came out of it is not what went in. `could_not_verify` speaks of the place where it was
tried: no room, no programs, a backend that does not start, an interruption. Only `passed` claims
that the backup restores.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ..backup import expectation
from ..backup.backup_choice import choose
from ..common import interrupt
from ..common.errors import ResilienceError
from ..common.messages import _
from ..proof import backup_source, unpack_folder
from ..proof.proof_settings import PASSED, Progress, ProofSettings
from ..staging import staging
from . import drill_counts, drill_result
from .drill_run import DrillRun


def set_up(settings: ProofSettings) -> dict[str, Any]:
    """Makes an empty staging that stays until it is cleaned up.

    Returns:
        `engine`, `host`, `port`, `database` and `seconds`.

    Raises:
        ResilienceError: it cannot be made, or a drill runs. What was made is removed again.
    """
    started = time.monotonic()
    with staging.locked(settings.staging):
        unpack_folder.remove_leftovers(settings.staging)
        note = staging.read_note(settings.staging)
        engine = staging.engine(settings.staging)
        engine.check()
        staging.write_note(settings.staging, kept=True, restored=note.restored if note else None)
        try:
            server = engine.up()
            staging.refuse_production(settings.staging, server.host, server.port)
            interrupt.check()
        except BaseException:
            staging.remove(settings.staging)
            raise
    return {
        "engine": settings.staging.kind,
        "host": server.host,
        "port": server.port,
        "database": settings.staging.database,
        "seconds": round(time.monotonic() - started, 3),
    }


def make_ready(settings: ProofSettings) -> bool:
    """Makes ready an empty staging that somebody else starts, as Ansible does with compose.

    Returns:
        Whether anything was made; not where staging stands already.

    Raises:
        ResilienceError: it cannot be made, or a drill runs. What was made is removed again.
    """
    with staging.locked(settings.staging):
        unpack_folder.remove_leftovers(settings.staging)
        note = staging.read_note(settings.staging)
        engine = staging.engine(settings.staging)
        engine.check()
        if note is not None and engine.find() is not None:
            return False
        staging.write_note(settings.staging, kept=True, restored=None)
        try:
            engine.prepare()
        except BaseException:
            staging.remove(settings.staging)
            raise
    return True


def clean_up(settings: ProofSettings, *, forget: bool = False) -> list[str]:
    """Removes staging; in words what was removed. A second time there is nothing.

    Args:
        settings: of the drill.
        forget: also what is kept so that the next staging stands sooner.
    """
    with staging.locked(settings.staging):
        return staging.remove(settings.staging, forget=forget) + unpack_folder.remove_unpacked(
            settings.staging.work_dir
        )


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
    """Tries one backup.

    Args:
        settings: where, and what is asked.
        path, tier, date: which backup; the newest of all when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        keep: leave staging standing. One that `set_up` made is left standing anyway.
        progress: told what happens.

    Returns:
        The result, as `docs/results.md` describes it; it is also kept in the state folder.

    Raises:
        ResilienceError: there is no such backup, staging would be production, or another drill
            runs: nothing was touched, and no verdict is given.
    """
    with staging.locked(settings.staging):
        chosen = None
        if not from_offsite:
            chosen = choose(
                settings.backup_path,
                tiers=settings.tiers,
                pattern=settings.pattern,
                path=path,
                tier=tier,
                date=date,
            )
        attempt = DrillRun(settings, chosen, keep, progress or _silent)
        result = attempt.run(lambda folder: backup_source.fetch(settings, folder, tier, date))
        drill_result.keep(settings.state_dir, result)
        if result["verdict"] == PASSED:
            drill_counts.keep(settings.state_dir, result)
    return result


def validate(settings: ProofSettings, *, progress: Progress | None = None) -> dict[str, Any]:
    """Questions the staging that stands, with the backup that was restored into it.

    Returns:
        A result as `run` gives it; its `restore` is the one that made this staging.

    Raises:
        ResilienceError: no staging stands, or nothing was restored into it.
    """
    with staging.locked(settings.staging):
        note = staging.read_note(settings.staging)
        engine = staging.engine(settings.staging)
        server = engine.find()
        if note is None or server is None or note.restored is None:
            raise ResilienceError(
                _("no restored staging stands"),
                option="work_dir",
                value=settings.staging.work_dir,
                remedy=_("run setup-staging and test-restore-staging first"),
            )
        staging.refuse_production(settings.staging, server.host, server.port)
        with open(
            os.path.join(settings.staging.work_dir, staging.WANTED), encoding="utf-8"
        ) as file:
            wanted = expectation.from_dict(json.load(file))
        result = DrillRun(settings, None, True, progress or _silent).question_only(
            note.restored, server, wanted, engine.backend_url()
        )
        drill_result.keep(settings.state_dir, result)
    return result


def _silent(_phase: str, _what: str) -> None:
    return None
