# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daily job of the backup server: judge the alarms, then read again, drop and clean.

Each part is its own: one that raises an error is an alarm, and the others run all the same.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from ..common.errors import ResilienceError
from ..common.messages import _, join
from . import incoming, retention, server_verification
from .placement import recover_moves
from .server_alarms import JOB_FAILED, ROOM, SILENT, UNTIL_CLEARED, Alarm
from .server_store import Store


@dataclasses.dataclass
class JobResult:
    """Result of the daily job.

    Attributes:
        dropped, kept_longer: as `retention.Dropped`.
        read, rotten, unreadable: as `server_verification.Reread`.
        alarms: the alarms that stand, by kind.
        over: the alarms that stood before the job and no longer do.
        failures: why a part of the job failed, by part.
    """

    dropped: list[str] = dataclasses.field(default_factory=list)
    kept_longer: list[str] = dataclasses.field(default_factory=list)
    read: int = 0
    rotten: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    alarms: dict[str, Alarm] = dataclasses.field(default_factory=dict)
    over: dict[str, Alarm] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)


def run(store: Store, notify: Callable[[], object] = lambda: None) -> JobResult:
    """Run the daily job.

    Args:
        store: the copy.
        notify: sends the notifications; called when the alarms were judged, before the work.
    """
    result = JobResult()
    before = store.alarms.all()
    now = time.time()

    def part(name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # whatever it is, it must become an alarm
            result.failures[name] = _reason(error)

    part("silence", lambda: _judge_silence(store, now))
    part("room", lambda: _judge_room(store))
    part("losses", lambda: _judge_losses(store))
    part("notifications", notify)
    part("verification", lambda: _verify(store, result))
    part("retention", lambda: _drop(store, result, now))
    part("incoming", lambda: incoming.clean(store, now))
    store.alarms.set(JOB_FAILED, _failure_message(result.failures))
    result.alarms = store.alarms.all()
    result.over = {kind: one for kind, one in before.items() if kind not in result.alarms}
    return result


def _reason(error: Exception) -> str:
    if isinstance(error, ResilienceError):
        return error.problem
    return f"{type(error).__name__}: {error}"


def _failure_message(failures: dict[str, str]) -> str | None:
    if not failures:
        return None
    parts = [
        _("the part %(part)s failed: %(why)s", part=part, why=why) for part, why in failures.items()
    ]
    return join(parts, "; ")


def _judge_silence(store: Store, now: float) -> None:
    last = store.load("last")
    if not last and store.ledger():
        store.report_damage("last", _("it is missing, although backups were placed"))
    try:
        hours = (now - float(last.get("time", now))) / 3600
    except (TypeError, ValueError):
        store.report_damage("last", _("it holds no time"))
        return
    message = _(
        "no inventory came for %(hours)s hours: is the host that sends it alive?",
        hours=f"{hours:.0f}",
    )
    store.alarms.set(SILENT, message if hours > store.settings.silent_hours else None)


def _judge_room(store: Store) -> None:
    store.alarms.set(ROOM, None if store.room() else _("the disk is full up to its reserve"))


def _judge_losses(store: Store) -> None:
    held = store.backups()
    intents = store.intents()
    moving = intents.aside if intents else {}
    lost = [path for path in store.ledger() if path not in held and path not in moving]
    if lost:
        store.change_stored_paths("lost", add=lost)


def _verify(store: Store, result: JobResult) -> None:
    with store.locked("verification"):
        recover_moves(store)
        found = server_verification.reread(store)
    result.read, result.rotten, result.unreadable = found.read, found.rotten, found.unreadable


def _drop(store: Store, result: JobResult, now: float) -> None:
    with store.locked("retention"):
        found = retention.drop_old(store, now)
    result.dropped, result.kept_longer = found.dropped, found.kept_longer


def clear(store: Store) -> None:
    """Clear the alarms of something that happened once, and the backups marked as lost."""
    for kind in UNTIL_CLEARED:
        store.alarms.set(kind, None)
    store.change_stored_paths("lost", remove=store.stored_paths("lost"))
