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
from ..inventory.path_table import only_in
from ..offsite import offsite_guards
from . import incoming, placement, retention, server_verification
from .placement import recover_moves
from .server_alarms import CLOCK, JOB_FAILED, ROOM, SILENT, UNTIL_CLEARED, Alarm
from .server_store import Store, names

# Seconds by which what counts as the time goes on from one run to the next at most.
MOST_STEP = 2 * 86400
# From so many seconds on a clock has jumped, or the server was off for long.
CLOCK_STEP = 7 * 86400


@dataclasses.dataclass
class JobResult:
    """Result of the daily job.

    Attributes:
        dropped, kept_longer: as `retention.Dropped`.
        read, rotten, rotten_previous, unreadable, oldest: as `server_verification.Reread`.
        alarms: the alarms that stand, by kind.
        over: the alarms that stood before the job and no longer do.
        failures: why a part of the job failed, by part.
    """

    dropped: list[str] = dataclasses.field(default_factory=list)
    kept_longer: list[str] = dataclasses.field(default_factory=list)
    read: int = 0
    rotten: list[str] = dataclasses.field(default_factory=list)
    rotten_previous: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    oldest: float | None = None
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

    kept_time, is_back = now, False

    def judge_clock() -> None:
        nonlocal kept_time, is_back
        kept_time, is_back = _time_by_clock(store, now)

    part("clock", judge_clock)
    if not is_back:  # a clock that is wrong says nothing of a silence
        part("silence", lambda: _judge_silence(store, now))
    part("room", lambda: _judge_room(store))
    part("losses", lambda: _judge_losses(store))
    part("rewritten", lambda: _judge_rewritten(store))
    part("notifications", notify)
    part("verification", lambda: _verify(store, result))
    part("retention", lambda: _drop(store, result, kept_time))
    part("incoming", lambda: incoming.clean(store, kept_time))
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


def _time_by_clock(store: Store, now: float) -> tuple[float, bool]:
    """Return the time by which files count as old, and raise the alarm of a clock that jumped.

    It goes on by at most `MOST_STEP` from run to run, so that a clock that is wrong for one run
    makes nothing old. A clock that stands far back for one run, as after a start without a battery,
    is not kept either: from there it would take years. Where no run is on record, the last
    inventory stands for it.

    Returns:
        The time, and whether the clock stands far back, and did not so at the last run.
    """
    record = store.load("job")
    try:
        last = float(record["time"]) if record else float(store.load("last").get("time", now))
        clock = float(record.get("clock", last))
    except (KeyError, TypeError, ValueError):
        store.report_damage("job", _("it holds no time"))
        last = clock = now
    kept = min(now, last + MOST_STEP)
    is_back = last - now > CLOCK_STEP and abs(now - clock) > CLOCK_STEP
    days = round((now - last) / 86400)
    jumped = now - last > CLOCK_STEP or last - now > CLOCK_STEP
    message = _(
        "the clock stands %(days)s days from that of the last run: nothing is dropped by it at "
        "once; look which of them was wrong",
        days=days,
    )
    store.alarms.set(CLOCK, message if jumped else None)
    store.save("job", {"time": last if is_back else kept, "clock": now})
    return kept, is_back


def _judge_rewritten(store: Store) -> None:
    days = offsite_guards.days_from(store.load("days").get("days"))
    placement.note_rewritten(store, days, [])


def _judge_silence(store: Store, now: float) -> None:
    last = store.load("last")
    if not last and store.ledger():
        store.report_damage("last", _("it is missing, although backups were placed"))
    try:
        moment = float(last.get("time", now))
        if moment > now:  # from a clock that was ahead: silence counts from now on
            moment = now
            store.save("last", {**last, "time": now})
        hours = (now - moment) / 3600
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
    lost = [path for path in only_in(store.ledger(held), held) if path not in moving]
    if lost:
        store.change_stored_paths("lost", add=lost)


def _verify(store: Store, result: JobResult) -> None:
    with store.locked("verification"):
        recover_moves(store)
        found = server_verification.reread(store)
    for name, value in vars(found).items():
        setattr(result, name, value)


def _drop(store: Store, result: JobResult, now: float) -> None:
    with store.locked("retention"):
        found = retention.drop_old(store, now)
    result.dropped, result.kept_longer = found.dropped, found.kept_longer
    if found.stuck:
        raise ResilienceError(
            _("cannot be removed: %(files)s", files=names(found.stuck)),
            option="root",
            value=store.root,
            remedy=_("look at the attributes of the files (lsattr), and at their owner"),
        )


def clear(store: Store) -> None:
    """Clear the alarms of something that happened once, and the backups marked as lost."""
    for kind in UNTIL_CLEARED:
        store.alarms.set(kind, None)
    store.change_stored_paths("lost", remove=store.stored_paths("lost"))
    seen = store.stored_paths("rotten-previous")
    if seen:
        # What they hold now counts from here on.
        previous = store.previous_ledger()
        for path in seen:
            previous.pop(path, None)
        store.save_previous_ledger(previous)
        store.change_stored_paths("rotten-previous", remove=seen)
