# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recorded of staging in its work folder, and the lock that lets one drill in at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _
from ..common.system_errors import reason
from .staging import StagingSettings, make_engine

STATE = "staging.json"
# What the backup that was restored last must hold; `expectation.Expectation.to_dict`.
EXPECTED = "expected.json"
LOCK = "lock"


@dataclasses.dataclass(frozen=True)
class StagingState:
    """The staging that exists, as recorded in the work folder.

    Attributes:
        engine: that made it.
        created: ISO 8601.
        kept: whether it stays until `cleanup-staging` (`setup-staging`, `--keep`); otherwise it is
            a drill's, and left over when no drill runs.
        restored: the last restore into it: `backup`, `restore` and `checks` of the drill's
            result; None before one.
    """

    engine: str
    created: str
    kept: bool
    restored: Mapping[str, Any] | None = None


def read(settings: StagingSettings) -> StagingState | None:
    """Return the recorded state; None without one. A damaged record is as good as none."""
    try:
        with open(os.path.join(settings.work_dir, STATE), encoding="utf-8") as file:
            return StagingState(**json_text.load(file))
    except (OSError, ValueError, TypeError):
        return None


def write(settings: StagingSettings, *, kept: bool, restored: Mapping[str, Any] | None) -> None:
    """Record the staging, before or while it is made.

    Raises:
        ResilienceError: the work folder cannot be written to.
    """
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    state = StagingState(settings.engine, created, kept, restored)
    path = os.path.join(settings.work_dir, STATE)
    try:
        replace_json(path, dataclasses.asdict(state))
    except OSError as error:
        raise _unusable(settings.work_dir, error) from error


def remove(settings: StagingSettings, *, cached: bool = False) -> list[str]:
    """Remove staging whole, whatever state it is in; return the names of what was removed.

    Args:
        settings: of staging.
        cached: also what is kept to make the next one sooner.
    """
    engine = make_engine(settings)
    removed = engine.down() + (engine.remove_cached() if cached else [])
    for name in (STATE, EXPECTED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(settings.work_dir, name))
    return removed


@contextlib.contextmanager
def locked(settings: StagingSettings) -> Iterator[None]:
    """Keep other drills and recoveries away from the same work folder meanwhile.

    Raises:
        ResilienceError: another one has it, or it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(settings.work_dir, mode=0o711, exist_ok=True)
            lock = stack.enter_context(lock_file(os.path.join(settings.work_dir, LOCK)))
        except OSError as error:
            raise _unusable(settings.work_dir, error) from error
        if lock is None:
            raise ResilienceError(
                _("another drill works on this staging"),
                option="work_dir",
                value=settings.work_dir,
                remedy=_("wait until it has ended"),
            )
        yield


def _unusable(work_dir: str, error: OSError) -> ResilienceError:
    return ResilienceError(
        _("the work folder cannot be used: %(why)s", why=reason(error)),
        option="work_dir",
        value=work_dir,
        remedy=_("name a folder that may be written to, and make room there"),
    )
