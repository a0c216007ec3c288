# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells people about levels: decides, words, delivers, and keeps what could not be delivered.

Every stage uses it: give what is at some level now, get back what was told. What is remembered is
one document a stage in the history; where that cannot be written it is kept in a second place that
needs no disk, so that a full one neither silences an alert nor repeats it for ever.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gettext
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import quantity
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.levels import CRITICAL, EMERGENCY, LEVEL_DISPLAY, OK, UNKNOWN, WARNING
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..history.history import History
from . import alerts, delivery
from .alerts import AlertState, Condition, Notice
from .notification_keys import FALLBACK

# More than this would be a service that has been dead for months.
MOST_KEPT = 1000
_KINDS = {WARNING: "warning", CRITICAL: "failure", EMERGENCY: "failure", UNKNOWN: "failure"}


@dataclasses.dataclass(frozen=True)
class Channels:
    """Where people are told.

    Attributes:
        addresses: Apprise URLs.
        remind_hours: after which what is still not ok is told again; 0 for never.
        time_limit: seconds for all deliveries of a run together.
        host: what this host is called.
        fallback: folder for what is remembered while the history cannot be written.
    """

    addresses: Sequence[str] = ()
    remind_hours: float = 24
    time_limit: float = 60
    host: str = ""
    fallback: str = FALLBACK


@dataclasses.dataclass(frozen=True)
class NotifyResult:
    """What an announcement came to.

    Attributes:
        notices: what there was to tell in this run, whether or not it was delivered.
        delivered: how many messages arrived, of this run and of earlier ones.
        kept: how many did not, and are tried again next time.
        states: what is in force, by key.
        problems: in words, what went wrong.
    """

    notices: list[Notice]
    delivered: int
    kept: int
    states: dict[str, AlertState]
    problems: list[str]


def notify(
    stage: str,
    conditions: Sequence[Condition],
    channels: Channels,
    history: History | None,
    words: gettext.NullTranslations,
    *,
    now: float,
    silent_until: Mapping[str, float] | None = None,
) -> NotifyResult:
    """Tells people what changed, and again what they could not be told last time.

    Args:
        stage: whose conditions these are.
        conditions: everything that the stage watches, ok or not.
        channels: where people are told; without addresses states are followed all the same.
        history: open, or None where it cannot be opened.
        words: of the language that messages are in.
        now: seconds since 1970.
        silent_until: until when a condition's notices are not sent, by key.
    """
    memory = _Memory(stage, history, channels.fallback)
    states, notices = alerts.decide(
        alerts.states_from(memory.content.get("states") or {}),
        conditions,
        now,
        remind_seconds=channels.remind_hours * 3600,
        silent_until=silent_until,
    )
    by_id = {delivery.service_id(address): address for address in channels.addresses}
    queue = [
        delivery.Message(**message)
        for message in memory.content.get("queue") or []
        if message["service"] in by_id
    ]
    for number, notice in enumerate(notices):
        title, body = message_text(words, notice, channels.host)
        kind = "success" if notice.level == OK else _KINDS[notice.level]
        queue += [
            delivery.Message(f"{now:.6f}-{number}-{service}", service, title, body, kind)
            for service in by_id
        ]
    queue = queue[-MOST_KEPT:]
    # Before anything is sent: a run that is ended meanwhile sends twice rather than never.
    if memory.differs(states, queue):
        memory.save(now, states, queue)
    kept, problems = queue, []
    if queue:
        outcomes = delivery.deliver(queue, by_id, time_limit=channels.time_limit)
        kept = [message for message in queue if outcomes[message.id]]
        problems = _problems(kept, outcomes, by_id)
        if len(kept) < len(queue):
            memory.save(now, states, kept)
    problems += memory.problems
    return NotifyResult(notices, len(queue) - len(kept), len(kept), states, problems)


def _problems(
    kept: Sequence[delivery.Message], outcomes: Mapping[str, str | None], by_id: Mapping[str, str]
) -> list[str]:
    counts: dict[tuple[str, str], int] = {}
    for message in kept:
        reason = (by_id[message.service], str(outcomes[message.id]))
        counts[reason] = counts.get(reason, 0) + 1
    return [
        f"{count} not delivered to {delivery.service_name(address)}, kept for the next run: {why}"
        for (address, why), count in counts.items()
    ]


def in_force(
    stage: str, history: History | None, fallback: str = FALLBACK
) -> dict[str, AlertState]:
    """The states that were remembered last, by key: for pages."""
    content = _Memory(stage, history, fallback).content
    return alerts.states_from(content.get("states") or {})


class _Memory:
    """A stage's document, in the history or else in the second place; the newer one counts."""

    def __init__(self, stage: str, history: History | None, fallback: str) -> None:
        self.stage, self.history, self.problems = stage, history, list[str]()
        self.path = os.path.join(fallback, f"{stage}.json")
        self.content: dict[str, Any] = {}
        if history is not None:
            try:
                self.content = history.document(stage)
            except (ResilienceError, ValueError) as error:
                self.problems.append(str(error))
        with contextlib.suppress(OSError, ValueError, AttributeError):
            with open(self.path, encoding="utf-8") as file:
                second = json.load(file)
            if second.get("order", 0) > self.content.get("order", 0):
                self.content = second
        self.order = int(self.content.get("order", 0))

    def differs(self, states: Mapping[str, AlertState], queue: Sequence[delivery.Message]) -> bool:
        """Whether there is anything to save; to write takes longest in a run without news."""
        return (
            self.content.get("states") != {key: state.to_dict() for key, state in states.items()}
            or self.content.get("queue") != [message.to_dict() for message in queue]
            or os.path.lexists(self.path)
        )

    def save(
        self, now: float, states: Mapping[str, AlertState], queue: Sequence[delivery.Message]
    ) -> None:
        # A count and not the time tells which document is newer: clocks go back.
        self.order += 1
        content = {
            "order": self.order,
            "time": now,
            "states": {key: state.to_dict() for key, state in states.items()},
            "queue": [message.to_dict() for message in queue],
        }
        if self.history is not None:
            try:
                self.history.set_document(self.stage, content)
            except ResilienceError as error:
                problem = str(error)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
                return
        else:
            problem = ""
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            replace_json(self.path, content)
        except OSError as error:
            problem = f"{self.path} cannot be written: {reason(error)}; {problem}"
        if problem and problem not in self.problems:
            self.problems.append(problem)


def message_text(words: gettext.NullTranslations, notice: Notice, host: str) -> tuple[str, str]:
    """The title and the body of a message."""
    say = words.gettext
    emoji, word, _code = LEVEL_DISPLAY[notice.level]
    titles = {
        alerts.RAISED: say("%(level)s: %(name)s on %(host)s"),
        alerts.EASED: say("%(level)s (was %(previous)s): %(name)s on %(host)s"),
        alerts.REMINDER: say("still %(level)s: %(name)s on %(host)s"),
        alerts.RECOVERED: say("%(level)s again: %(name)s on %(host)s"),
    }
    title = titles[notice.kind] % {
        "level": f"{emoji} {word}",
        "previous": LEVEL_DISPLAY[notice.previous][1],
        "name": clean(notice.name),
        "host": host,
    }
    lines = [clean(notice.reason)]
    if notice.kind == alerts.RECOVERED:
        lines.append(
            say("It lasted %(time)s.") % {"time": quantity.duration(words, notice.seconds)}
        )
    elif notice.kind != alerts.RAISED or notice.previous != OK:
        lines.append(
            say("Not ok for %(time)s.") % {"time": quantity.duration(words, notice.seconds)}
        )
    moment = datetime.datetime.fromtimestamp(notice.time).astimezone()
    lines.append(moment.isoformat(sep=" ", timespec="seconds"))
    return title, "\n".join(lines)
