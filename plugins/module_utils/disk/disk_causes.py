# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes of a target's level, and their text for logs, messages and pages of every language."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..common import quantity
from ..common.messages import _, translate


class Cause(NamedTuple):
    """One thing that was judged about a target.

    Attributes:
        code: what was judged: `space`, `inodes`, `read_only`, `unmeasured`, `not_mounted`,
            `forecast`, `inodes_forecast`, `dump_fit`, `drill_fit`, `retention_fit`, `backups`.
        level: the level that it gives the target.
        falls_to: the level that the same measurement gives with every threshold a little earlier;
            what a level once reached falls back to (see `alerts`).
        values: the figures that the text shows.
    """

    code: str
    level: str
    falls_to: str
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**self._asdict(), "values": dict(self.values)}


_LEVELS = {
    "ok": _("ok"),
    "warning": _("warning"),
    "critical": _("critical"),
    "emergency": _("emergency"),
    "unknown": _("unknown"),
}


def level_word(translations: gettext.NullTranslations, level: str) -> str:
    """Return the word for a level, within a sentence."""
    return translate(translations, _LEVELS.get(level, level))


# Days; a month of samples says little of what lies further ahead than this.
FAR_DAYS = 730.0


def left_text(translations: gettext.NullTranslations, code: str, left: float) -> str:
    """Return what is left, such as `20 GB left` or, of inodes, `5000 left`."""
    size = f"{left:.0f}" if code == "inodes" else quantity.size(left)
    return translations.gettext("%(size)s left") % {"size": size}


def cause_text(translations: gettext.NullTranslations, cause: Mapping[str, Any]) -> str:
    """Return the text of one cause, such as `space 85.9% used (14 GB left), critical from 80%`.

    Args:
        translations: of the reader's language.
        cause: as `Cause.to_dict` returns it.
    """
    tr, values = translations.gettext, cause["values"]
    code, level = cause["code"], cause["level"]
    if code in ("space", "inodes"):
        return _usage_text(translations, code, level, values)
    if code == "read_only":
        return tr("mounted read-only")
    if code == "not_mounted":
        return tr("not mounted")
    if code == "unmeasured":
        return tr("cannot be measured: %(why)s") % {"why": translate(translations, values["why"])}
    if code in ("forecast", "inodes_forecast"):
        return _forecast_text(translations, code, values)
    if code in ("dump_fit", "drill_fit"):
        return _fit_text(translations, code, level, values)
    if code == "retention_fit":
        if values["nights"] >= values["horizon"]:
            return tr("the retention plan fits for %(nights)d nights or more") % {
                "nights": values["horizon"]
            }
        return translations.ngettext(
            "the retention plan fits for %(nights)d more night",
            "the retention plan fits for %(nights)d more nights",
            values["nights"],
        ) % {"nights": values["nights"]}
    why = translate(translations, values["why"])
    return tr("the backups cannot be read: %(why)s") % {"why": why}


def _usage_text(
    translations: gettext.NullTranslations, code: str, level: str, values: Mapping[str, Any]
) -> str:
    tr = translations.gettext
    if code == "inodes":
        used = tr("inodes %(percent)s%% used")
    elif values.get("share"):
        used = tr("takes %(percent)s%% of its disk")
    else:
        used = tr("space %(percent)s%% used")
    used = used % {"percent": f"{values['percent']:.1f}"}
    if values.get("left") is not None:  # results that earlier versions stored have none
        used += f" ({left_text(translations, code, values['left'])})"
    if level == "ok":
        return used
    limit = values["limit"]
    begins = f"{limit:g}%" if values["limit_is_percent"] else left_text(translations, code, limit)
    return used + tr(", %(level)s from %(limit)s") % {
        "level": level_word(translations, level),
        "limit": begins,
    }


def alert_subject(
    translations: gettext.NullTranslations, code: str, path: str, folder: bool
) -> str:
    """Return what an alert is about, such as `disk /srv`, for the title of a message.

    Args:
        translations: of the message's language.
        code: a cause that has an alert of its own, or empty for the target's level.
        path: the target's.
        folder: whether the target is a folder.
    """
    tr = translations.gettext
    if code == "dump_fit":
        return tr("room for tonight's dump")
    if code == "drill_fit":
        return tr("room for a restore drill")
    if code == "retention_fit":
        return tr("room for the retention plan")
    subject = tr("folder %(path)s") if folder else tr("disk %(path)s")
    return subject % {"path": path}


def days_text(translations: gettext.NullTranslations, days: float) -> str:
    """Return a time to come, such as `6 days` or `18 hours`, rounded down."""
    if days >= FAR_DAYS:
        return translations.gettext("more than 2 years")
    if days < 2:
        hours = int(days * 24)
        return translations.ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    whole = int(days)
    return translations.ngettext("%(count)d day", "%(count)d days", whole) % {"count": whole}


def _forecast_text(
    translations: gettext.NullTranslations, code: str, values: Mapping[str, Any]
) -> str:
    tr = translations.gettext
    beginning = (
        tr("emergency in %(time)s") if code == "forecast" else tr("inodes: emergency in %(time)s")
    )
    text = beginning % {"time": days_text(translations, values["days"])}
    if values["days_to_full"] is not None:
        text += tr(", full in %(time)s") % {"time": days_text(translations, values["days_to_full"])}
    return text + tr(" at the present growth")


def _fit_text(
    translations: gettext.NullTranslations, code: str, level: str, values: Mapping[str, Any]
) -> str:
    tr = translations.gettext
    # "fits" alone would be no reason for an alert: what fits only just has a text of its own.
    texts = {
        ("dump_fit", "fits"): tr("tonight's dump (up to %(needs)s) fits into %(available)s"),
        ("dump_fit", "just"): tr(
            "room for less than two dumps: tonight's takes up to %(needs)s, %(available)s are left"
        ),
        ("dump_fit", "not"): tr(
            "tonight's dump will not fit: it takes up to %(needs)s, %(available)s are left"
        ),
        ("drill_fit", "fits"): tr("a restore drill (%(needs)s) fits into %(available)s"),
        ("drill_fit", "just"): tr(
            "room for less than two restore drills: one takes %(needs)s, %(available)s are left"
        ),
        ("drill_fit", "not"): tr(
            "a restore drill will not fit: it takes %(needs)s, %(available)s are left"
        ),
    }
    if values["fits"] is None:
        return tr(
            "whether a restore drill fits is not known: the filesystem it would use does not answer"
        )
    sizes = {name: quantity.size(values[name]) for name in ("needs", "available")}
    how = "not" if not values["fits"] else "fits" if level == "ok" else "just"
    return texts[code, how] % sizes
