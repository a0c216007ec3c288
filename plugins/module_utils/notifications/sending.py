# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send notifications to every service, and keep what was not delivered for the next run."""

from __future__ import annotations

import collections
import dataclasses
import gettext
from collections.abc import Mapping, Sequence

from ..common.levels import OK
from ..common.mask import mask
from ..common.messages import _
from . import alerts, delivery, outbox
from .alert_store import AlertStore
from .alerts import AlertState, Notification
from .delivery import Parcel
from .notification_settings import NotificationSettings
from .notification_text import notification_text, summary_text
from .outbox import DeliveryOutcome, QueuedMessage


@dataclasses.dataclass(frozen=True)
class SendResult:
    """The outcome of sending.

    Attributes:
        delivered: how many messages arrived, of this run and of earlier ones.
        kept: how many messages were not delivered, and wait for the next run.
        problems: what went wrong, as texts.
    """

    delivered: int
    kept: int
    problems: list[str]


def send(
    store: AlertStore,
    states: Mapping[str, AlertState],
    notifications: Sequence[Notification],
    settings: NotificationSettings,
    translations: gettext.NullTranslations,
    *,
    now: float,
) -> SendResult:
    """Send what is new, and again what was not delivered last time.

    Args:
        store: what was remembered; written before and after sending.
        states: of all conditions, by key.
        notifications: of this run.
        settings: whom to notify.
        translations: of the language of the messages.
        now: seconds since 1970.
    """
    addresses = {delivery.service_id(address): address for address in settings.notify}
    queue = outbox.messages_from(store.queue, addresses)
    stored_levels, levels = store.notified_levels, dict[str, dict[str, str]]()
    for service in addresses:
        # A service that was added or corrected since the last run gets what is in force.
        before = stored_levels.get(service, {})
        new = {one.key: one for one in alerts.missed(states, before, now)}
        # A recovery goes only to services that were notified of the problem.
        new |= {
            one.key: one
            for one in notifications
            if one.kind != alerts.RECOVERED or one.key in before
        }
        queue += [
            _message(translations, one, service, settings.named_host, number)
            for number, one in enumerate(new.values())
        ]
        levels[service] = {
            key: new[key].level if key in new else before[key]
            for key, state in states.items()
            if (key in new or key in before) and state.level != OK
        }
    # Saved before anything is sent: a run that is killed meanwhile leads to a second message, not
    # to none.
    _save(store, states, queue, levels)
    delivered = 0
    problems: list[str] = []
    if queue:
        outcomes = _deliver(queue, addresses, settings, translations, now)
        to_send = len(queue)
        queue, given_up = outbox.after_delivery(queue, outcomes, now)
        delivered = to_send - len(queue) - len(given_up)
        problems = _problems(queue, given_up, outcomes, addresses)
        waiting_keys = {(message.service, message.key) for message in queue}
        for message in given_up:
            if (message.service, message.key) not in waiting_keys:
                levels[message.service].pop(message.key, None)
        _save(store, states, queue, levels)
    return SendResult(delivered, len(queue), problems)


def _save(
    store: AlertStore,
    states: Mapping[str, AlertState],
    queue: Sequence[QueuedMessage],
    notified_levels: Mapping[str, Mapping[str, str]],
) -> None:
    store.save(states, [message.to_dict() for message in queue], notified_levels)


def _message(
    translations: gettext.NullTranslations,
    notification: Notification,
    service: str,
    host: str,
    number: int,
) -> QueuedMessage:
    title, body = notification_text(translations, notification, host)
    return QueuedMessage(
        f"{notification.time:.6f}-{number}-{service}",
        service,
        notification.key,
        notification.level,
        notification.time,
        mask(title),
        mask(body),
    )


def _deliver(
    queue: Sequence[QueuedMessage],
    addresses: Mapping[str, str],
    settings: NotificationSettings,
    translations: gettext.NullTranslations,
    now: float,
) -> dict[str, DeliveryOutcome]:
    """Deliver the messages that are due; return the outcome of each by message id."""
    parcels: dict[str, list[Parcel]] = {}
    for service, messages in outbox.due(queue, now).items():
        if len(messages) > outbox.SUMMARY_ABOVE:
            title, body = summary_text(translations, messages, settings.named_host)
            ids = tuple(message.id for message in messages)
            parcels[service] = [Parcel(ids, title, body, messages[0].kind)]
        else:
            parcels[service] = [
                Parcel((one.id,), one.title, one.body, one.kind) for one in messages
            ]
    return delivery.deliver(parcels, addresses, time_limit=settings.notify_time_limit)


def _problems(
    kept: Sequence[QueuedMessage],
    given_up: Sequence[QueuedMessage],
    outcomes: Mapping[str, DeliveryOutcome],
    addresses: Mapping[str, str],
) -> list[str]:
    counts = collections.Counter(
        (
            addresses[message.service],
            outcomes[message.id].problem
            if message.id in outcomes
            else _("the service demands a wait"),
        )
        for message in kept
    )
    return [
        *(
            _(
                "%(count)d not delivered to %(service)s, kept for the next run: %(why)s",
                count=count,
                service=delivery.service_name(address),
                why=why,
            )
            for (address, why), count in counts.items()
        ),
        *(
            _(
                "%(count)d given up after %(tries)d runs, not delivered to %(service)s, the worst:"
                " %(title)s",
                count=len(messages),
                tries=messages[0].tries,
                service=delivery.service_name(addresses[service]),
                title=messages[0].title,
            )
            for service, messages in outbox.by_service(given_up).items()
        ),
    ]
