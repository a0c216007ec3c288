# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of notifications, and of a summary of many, in the language of their readers."""

from __future__ import annotations

import datetime
import gettext
from collections.abc import Sequence

from ..common import quantity
from ..common.levels import LEVEL_DISPLAY, LEVELS, OK
from ..common.safe_text import clean
from . import alerts
from .alerts import Notification
from .outbox import QueuedMessage

# Lines of a summary; most services cut longer texts.
SUMMARY_LINES = 30


def notification_text(
    translations: gettext.NullTranslations, notification: Notification, host: str
) -> tuple[str, str]:
    """Return the title and the body of one notification."""
    tr = translations.gettext
    emoji, word, _code = LEVEL_DISPLAY[notification.level]
    titles = {
        alerts.RAISED: tr("%(level)s: %(name)s on %(host)s"),
        alerts.EASED: tr("%(level)s (was %(previous)s): %(name)s on %(host)s"),
        alerts.REMINDER: tr("still %(level)s: %(name)s on %(host)s"),
        alerts.RECOVERED: tr("%(level)s again: %(name)s on %(host)s"),
    }
    title = titles[notification.kind] % {
        "level": f"{emoji} {word}",
        "previous": LEVEL_DISPLAY[notification.previous][1],
        "name": clean(notification.name),
        "host": clean(host),
    }
    lines = [clean(notification.reason)]
    lasted = quantity.duration(translations, notification.seconds)
    if notification.kind == alerts.RECOVERED:
        lines.append(tr("It lasted %(time)s.") % {"time": lasted})
    elif notification.kind != alerts.RAISED or notification.previous != OK:
        lines.append(tr("Not ok for %(time)s.") % {"time": lasted})
    moment = datetime.datetime.fromtimestamp(notification.time).astimezone()
    lines.append(moment.isoformat(sep=" ", timespec="seconds"))
    return title, "\n".join(lines)


def summary_text(
    translations: gettext.NullTranslations, messages: Sequence[QueuedMessage], host: str
) -> tuple[str, str]:
    """Return the title and the body of one message in place of many.

    Args:
        translations: of the language.
        messages: the worst first.
        host: the name of this host.
    """
    tr = translations.gettext
    counts = [
        f"{sum(message.level == level for message in messages)} {LEVEL_DISPLAY[level][1]}"
        for level in reversed(LEVELS)
        if any(message.level == level for message in messages)
    ]
    title = tr("%(emoji)s %(count)d notifications on %(host)s: %(levels)s") % {
        "emoji": LEVEL_DISPLAY[messages[0].level][0],
        "count": len(messages),
        "host": clean(host),
        "levels": ", ".join(counts),
    }
    lines = [
        f"{message.title}: {message.body.partition(chr(10))[0]}"
        for message in messages[:SUMMARY_LINES]
    ]
    if len(messages) > SUMMARY_LINES:
        lines.append(tr("and %(count)d more") % {"count": len(messages) - SUMMARY_LINES})
    return title, "\n".join(lines)
