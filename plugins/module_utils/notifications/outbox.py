# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that wait for delivery: their order, their tries, and when one is given up. Pure.

A message belongs to one service. The worst goes first, and among equals the newest. What was not
delivered is kept for the next run with a count of the runs that tried; above ten waiting messages
a service gets one summary of them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..common.levels import LEVELS, OK, WARNING

# Runs that try a message before it is given up: two days of a run every six hours.
GIVE_UP_AFTER = 8
# More messages than this for one service are sent as one.
SUMMARY_ABOVE = 10
# Limit of waiting messages, for a service that is unreachable for months.
MOST_KEPT = 1000
# Longest pause that a service may request, in seconds; a longer one is cut to it.
LONGEST_PAUSE = 86400.0


@dataclasses.dataclass(frozen=True)
class QueuedMessage:
    """One message for one service.

    Attributes:
        id: identifies it.
        service: its `service_id`: no secret, unlike the address.
        key, level: of the condition that it is about.
        time: when it was written, seconds since 1970.
        title, body: its text.
        tries: runs that have tried to deliver it.
        not_before: earliest time of the next attempt, seconds since 1970, as the service requested.
    """

    id: str
    service: str
    key: str
    level: str
    time: float
    title: str
    body: str
    tries: int = 0
    not_before: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)

    @property
    def kind(self) -> str:
        """Apprise's name for a level: `success`, `warning` or `failure`."""
        return {OK: "success", WARNING: "warning"}.get(self.level, "failure")


@dataclasses.dataclass(frozen=True)
class DeliveryOutcome:
    """The result of one attempt to deliver.

    Attributes:
        problem: why it was not delivered; empty when it was.
        tried: whether there was time to try it at all.
        retry_after: seconds that the service demands to wait, or 0.
    """

    problem: str = ""
    tried: bool = True
    retry_after: float = 0.0


def messages_from(values: Iterable[Any], services: Iterable[str]) -> list[QueuedMessage]:
    """Return the messages that `to_dict` gave, of services that are still configured."""
    known, found = set(services), []
    for value in values:
        try:
            message = QueuedMessage(**value)
            usable = message.service in known and message.level in LEVELS
            # What was damaged, or written by another program, must not stop the others.
            float(message.time), float(message.not_before), int(message.tries)
        except (TypeError, ValueError):
            continue
        if usable:
            found.append(message)
    return found


def worst_first(messages: Iterable[QueuedMessage]) -> list[QueuedMessage]:
    """Return messages in the order to send them in: the worst first, then the newest."""
    return sorted(messages, key=lambda one: (-LEVELS.index(one.level), -one.time))


def by_service(messages: Iterable[QueuedMessage]) -> dict[str, list[QueuedMessage]]:
    """Return messages by their service, the worst first."""
    found: dict[str, list[QueuedMessage]] = {}
    for message in worst_first(messages):
        found.setdefault(message.service, []).append(message)
    return found


def due(messages: Iterable[QueuedMessage], now: float) -> dict[str, list[QueuedMessage]]:
    """Return the messages to try now, by service, the worst first."""
    # A clock that was set back must not hold a message for as long as it went back.
    return by_service(
        message for message in messages if not 0 < message.not_before - now <= LONGEST_PAUSE
    )


def after_delivery(
    queue: Sequence[QueuedMessage], outcomes: Mapping[str, DeliveryOutcome], now: float
) -> tuple[list[QueuedMessage], list[QueuedMessage]]:
    """Return what is kept for the next run, and what is given up.

    Args:
        queue: everything that waited.
        outcomes: by the message's id, of those that were due.
        now: seconds since 1970.
    """
    kept, given_up = list[QueuedMessage](), list[QueuedMessage]()
    pauses = {
        message.service: now + min(outcomes[message.id].retry_after, LONGEST_PAUSE)
        for message in queue
        if message.id in outcomes and outcomes[message.id].retry_after > 0
    }
    for message in queue:
        outcome = outcomes.get(message.id)
        if outcome is not None and not outcome.problem:
            continue
        tries = message.tries + (outcome is not None and outcome.tried)
        after = dataclasses.replace(
            message, tries=tries, not_before=pauses.get(message.service, message.not_before)
        )
        (given_up if tries >= GIVE_UP_AFTER else kept).append(after)
    kept, overflow = worst_first(kept)[:MOST_KEPT], worst_first(kept)[MOST_KEPT:]
    return kept, given_up + overflow
