# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to tell people about a level, and when to leave them in peace. Pure: states in, states out.

A level is raised as soon as it is reached and left only when it is clearly left (`falls_to`, the
hysteresis). People are told once a change, reminded after a set time, and told of the recovery with
how long it took. What is silenced is followed all the same, and told when the silence ends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common.levels import LEVELS, OK, UNKNOWN

RAISED, EASED, REMINDER, RECOVERED = "raised", "eased", "reminder", "recovered"
# A clock that is set right may go back by this many seconds without a reminder being sent.
CLOCK_SLACK = 60


@dataclasses.dataclass(frozen=True)
class Condition:
    """What is at some level now.

    Attributes:
        key: tells it apart, stable between runs.
        name: what people call it, or what gives it, as for the reason.
        level: as measured.
        falls_to: the level that the same measurement gives with every threshold a little earlier;
            equal to `level` where there is no hysteresis.
        reason: in words, or what gives them: most conditions are ok, and then nobody asks why.
    """

    key: str
    name: str | Callable[[], str]
    level: str
    falls_to: str
    reason: str | Callable[[], str]

    def called(self) -> str:
        """What people call it."""
        return self.name if isinstance(self.name, str) else self.name()

    def form(self) -> str:
        """Why, in words."""
        return self.reason if isinstance(self.reason, str) else self.reason()


@dataclasses.dataclass(frozen=True)
class AlertState:
    """What is remembered of a condition. Times are seconds since 1970.

    Attributes:
        name, reason: empty where it is ok, for then nobody asks.
        level: in force, after hysteresis.
        since: when it left `ok`; when it was first seen if it is ok.
        told_level: what people were told last; `ok` at first.
        told_at: when.
    """

    name: str
    level: str
    reason: str
    since: float
    told_level: str = OK
    told_at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Notice:
    """Something to tell people.

    Attributes:
        kind: `raised`, `eased` (better, not ok), `reminder` or `recovered`.
        previous: the level that they were told before.
        since: when it left `ok`.
        seconds: since then.
    """

    kind: str
    key: str
    name: str
    level: str
    previous: str
    reason: str
    time: float
    since: float

    @property
    def seconds(self) -> float:
        """Seconds since it left `ok`; 0 where the clock went back."""
        return max(0.0, self.time - self.since)


def states_from(values: Mapping[str, Any]) -> dict[str, AlertState]:
    """The states that `State.to_dict` gave; what is no state is left out."""
    found = {}
    for key, value in values.items():
        try:
            found[key] = AlertState(**value)
        except TypeError:
            continue
    return found


def in_force(level: str, falls_to: str, previous: str) -> str:
    """The level after hysteresis: it rises at once, and falls no lower than `falls_to`."""
    if UNKNOWN in (level, previous):
        return level
    if LEVELS.index(level) >= LEVELS.index(previous):
        return level
    return min(previous, max(level, falls_to, key=LEVELS.index), key=LEVELS.index)


def decide(
    states: Mapping[str, AlertState],
    conditions: Sequence[Condition],
    now: float,
    *,
    remind_seconds: float = 86400,
    silent_until: Mapping[str, float] | None = None,
) -> tuple[dict[str, AlertState], list[Notice]]:
    """What to remember and what to tell.

    Args:
        states: what was remembered, by key.
        conditions: everything that is watched now. What is no longer among them is forgotten.
        now: seconds since 1970.
        remind_seconds: after which what is still not ok is told again; 0 for never.
        silent_until: until when a key's notices are not sent.
    """
    after: dict[str, AlertState] = {}
    notices: list[Notice] = []
    for condition in conditions:
        before = states.get(condition.key)
        state, notice = _one(before, condition, now, remind_seconds)
        if notice and now < (silent_until or {}).get(condition.key, 0):
            state = dataclasses.replace(
                state,
                told_level=before.told_level if before else OK,
                told_at=before.told_at if before else 0.0,
            )
            notice = None
        after[condition.key] = state
        if notice:
            notices.append(notice)
    return after, notices


def _one(
    before: AlertState | None, condition: Condition, now: float, remind_seconds: float
) -> tuple[AlertState, Notice | None]:
    previous = before.level if before else OK
    level = in_force(condition.level, condition.falls_to, previous)
    since = before.since if before and (previous != OK) == (level != OK) else now
    # The recovery tells how long it lasted, so it needs the beginning of what ended.
    began = before.since if before and previous != OK else since
    told_level, told_at = (before.told_level, before.told_at) if before else (OK, 0.0)
    kind = _kind(level, told_level, now - told_at, remind_seconds)
    # What is ok is asked after by nobody, and why it is changes with every measurement.
    name, reason = ("", "") if level == OK else (condition.called(), condition.form())
    state = AlertState(name, level, reason, since, told_level, told_at)
    if kind is None:
        return state, None
    notice = Notice(
        kind, condition.key, condition.called(), level, told_level, condition.form(), now, began
    )
    return dataclasses.replace(state, told_level=level, told_at=now), notice


def _kind(level: str, told_level: str, age: float, remind_seconds: float) -> str | None:
    if level != told_level:
        if level == OK:
            return RECOVERED
        worse = level == UNKNOWN or LEVELS.index(level) > LEVELS.index(told_level)
        return RAISED if worse else EASED
    if level == OK or not remind_seconds:
        return None
    # A clock that went back must not silence the reminders for as long as it went.
    return None if -CLOCK_SLACK <= age < remind_seconds else REMINDER
