# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send one test message to every service, in the way of real ones."""

from __future__ import annotations

import datetime
import gettext

from . import delivery
from .delivery import Parcel
from .notification_settings import NotificationSettings


def send_test_messages(
    settings: NotificationSettings, translations: gettext.NullTranslations
) -> list[tuple[str, str]]:
    """Send one message to each address; nothing is remembered of it.

    Args:
        settings: with the addresses.
        translations: of the language of the message.

    Returns:
        For each address, in order, the service's name and why the message did not arrive (empty
        when it did).
    """
    tr = translations.gettext
    title = tr("🔔 Test message from %(host)s") % {"host": settings.named_host}
    moment = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    body = "\n".join([tr("Notifications of this host arrive here."), moment])
    addresses = {delivery.service_id(address): address for address in settings.notify}
    parcels = {name: [Parcel((name,), title, body, "success")] for name in addresses}
    outcomes = delivery.deliver(parcels, addresses, time_limit=settings.notify_time_limit)
    return [
        (delivery.service_name(address), outcomes[name].problem)
        for name, address in addresses.items()
    ]
