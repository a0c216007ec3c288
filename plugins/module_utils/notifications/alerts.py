# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When to notify about a condition, and when not. Pure: states in, states and notifications out.

A level is raised as soon as it is reached and left only when it is clearly left (`falls_to`, the
hysteresis). There is one notification a change, a reminder after a set time, and one of the
recovery with how long it lasted. A silenced condition is followed all the same, and notified when
the silence ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..common.levels import LEVELS, OK, UNKNOWN

RAISED, EASED, REMINDER, RECOVERED = "raised", "eased", "reminder", "recovered"
# A clock that is set right may go back by this many seconds without a reminder being sent.
CLOCK_SLACK = 60


class Condition(NamedTuple):
    """Something that is watched, as it was measured now.

    Attributes:
        key: identifies it, stable between runs.
        name: as people call it.
        level: as measured.
        falls_to: the level that the same measurement gives with every threshold a little earlier;
            equal to `level` where there is no hysteresis.
        reason: why it is at this level.
    """

    key: str
    name: str
    level: str
    falls_to: str
    reason: str


class AlertState(NamedTuple):
    """What is remembered of a condition. Times are seconds since 1970.

    Attributes:
        name, reason: empty where it is ok.
        level: in force, after hysteresis.
        since: when it left `ok`; when it was first seen if it is ok.
        notified_level: of the last notification; `ok` at first.
        notified_at: when that was.
    """

    name: str
    level: str
    reason: str
    since: float
    notified_level: str = OK
    notified_at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return self._asdict()


class Notification(NamedTuple):
    """One thing to notify about.

    Attributes:
        kind: `raised`, `eased` (better, not ok), `reminder` or `recovered`.
        previous: the level of the notification before.
        time: of this one.
        since: when the condition left `ok`.
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
    """Return the states that `AlertState.to_dict` gave; what is no state is left out."""
    found = {}
    for key, value in values.items():
        try:
            state = AlertState(**value)
            float(state.since), float(state.notified_at)
        except (TypeError, ValueError):
            continue
        if state.level in LEVELS and state.notified_level in LEVELS:
            found[key] = state
    return found


def level_in_force(level: str, falls_to: str, previous: str) -> str:
    """Return the level after hysteresis: it rises at once, and falls no lower than `falls_to`."""
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
) -> tuple[dict[str, AlertState], list[Notification]]:
    """Return what to remember and what to notify about.

    Args:
        states: what was remembered, by key.
        conditions: everything that is watched now. What is no longer among them is forgotten.
        now: seconds since 1970.
        remind_seconds: after which there is a reminder of what is still not ok; 0 for never.
        silent_until: until when there are no notifications of a key.
    """
    after: dict[str, AlertState] = {}
    notifications: list[Notification] = []
    for condition in conditions:
        before = states.get(condition.key)
        state, notification = _decide_one(before, condition, now, remind_seconds)
        if notification and now < (silent_until or {}).get(condition.key, 0):
            state = state._replace(
                notified_level=before.notified_level if before else OK,
                notified_at=before.notified_at if before else 0.0,
            )
            notification = None
        after[condition.key] = state
        if notification:
            notifications.append(notification)
    return after, notifications


def missed(
    states: Mapping[str, AlertState], notified_levels: Mapping[str, str], now: float
) -> list[Notification]:
    """Return reminders of conditions in force that one service was not notified of.

    Args:
        states: all of them, after `decide`.
        notified_levels: the level that the service was last notified of, by key.
        now: seconds since 1970.
    """
    return [
        Notification(
            REMINDER, key, state.name, state.level, state.level, state.reason, now, state.since
        )
        for key, state in states.items()
        if state.level not in (OK, notified_levels.get(key)) and state.notified_level == state.level
    ]


def _decide_one(
    before: AlertState | None, condition: Condition, now: float, remind_seconds: float
) -> tuple[AlertState, Notification | None]:
    previous = before.level if before else OK
    level = level_in_force(condition.level, condition.falls_to, previous)
    since = before.since if before and (previous != OK) == (level != OK) else now
    # A recovery says how long it lasted, so it needs the beginning of what ended.
    began = before.since if before and previous != OK else since
    notified_level, notified_at = (
        (before.notified_level, before.notified_at) if before else (OK, 0.0)
    )
    kind = _kind(level, notified_level, now - notified_at, remind_seconds)
    # Why something is ok changes with every measurement, and would be written each time.
    name, reason = ("", "") if level == OK else (condition.name, condition.reason)
    state = AlertState(name, level, reason, since, notified_level, notified_at)
    if kind is None:
        return state, None
    notification = Notification(
        kind, condition.key, condition.name, level, notified_level, condition.reason, now, began
    )
    return state._replace(notified_level=level, notified_at=now), notification


def _kind(level: str, notified_level: str, age: float, remind_seconds: float) -> str | None:
    if level != notified_level:
        if level == OK:
            return RECOVERED
        worse = level == UNKNOWN or LEVELS.index(level) > LEVELS.index(notified_level)
        return RAISED if worse else EASED
    if level == OK or not remind_seconds:
        return None
    # A clock that went back must not silence the reminders for as long as it went.
    return None if -CLOCK_SLACK <= age < remind_seconds else REMINDER
