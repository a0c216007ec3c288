# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notify people about conditions: decide what is news, and hand it to `sending`.

A stage calls `notify` with all conditions that it watches, ok or not.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..common import run_steps
from ..history.history import History
from . import alerts, channel
from .alert_store import AlertStore
from .alerts import AlertState, Condition, Notification
from .notification_settings import FALLBACK, NotificationSettings


class NotifyResult(NamedTuple):
    """The notifications of one run, and what was delivered.

    Attributes:
        notifications: of this run, whether or not they were delivered.
        delivered: how many messages arrived, of this run and of earlier ones.
        kept: how many messages were not delivered, and wait for the next run.
        states: of all conditions, by key.
        problems: what went wrong, as texts.
    """

    notifications: list[Notification]
    delivered: int
    kept: int
    states: dict[str, AlertState]
    problems: list[str]


def notify(
    stage: str,
    conditions: Sequence[Condition],
    settings: NotificationSettings,
    history: History | None,
    translations: gettext.NullTranslations,
    *,
    now: float,
    silent_until: Mapping[str, float] | None = None,
) -> NotifyResult:
    """Notify people about what changed, and send again what was not delivered last time.

    Args:
        stage: whose conditions these are.
        conditions: everything that the stage watches, ok or not.
        settings: whom to notify; without addresses only the states are updated.
        history: open, or None where it cannot be opened.
        translations: of the language of the messages.
        now: seconds since 1970.
        silent_until: by condition key, the time before which it is not notified.
    """
    store = AlertStore(stage, settings.named_host, history, settings.fallback_dir)
    states, notifications = alerts.decide(
        store.states,
        conditions,
        now,
        remind_seconds=settings.remind_hours * 3600,
        silent_until=silent_until,
    )
    if not settings.notify:
        store.save(states, (), {})
        return NotifyResult(notifications, 0, 0, states, store.problems)
    # What the services take beside the time limit: to start and to end what delivers.
    with run_steps.step("notify", settings.notify_time_limit):
        sent = channel.load("sending").send(
            store, states, notifications, settings, translations, now=now
        )
    return NotifyResult(
        notifications, sent.delivered, sent.kept, states, sent.problems + store.problems
    )


def states_in_force(
    stage: str, host: str, history: History | None, fallback_dir: str = FALLBACK
) -> dict[str, AlertState]:
    """Return the alert states that were stored last, by key, to show on a page."""
    return AlertStore(stage, host, history, fallback_dir).states
