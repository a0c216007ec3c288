# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a target is at its level, in words: one function for logs and pages of every language."""

from __future__ import annotations

import dataclasses
import gettext
from collections.abc import Mapping
from typing import Any

from ..common import quantity


@dataclasses.dataclass(frozen=True)
class Cause:
    """One question about a target and its answer.

    Attributes:
        code: which question: `space`, `inodes`, `read_only`, `unmeasured`, `not_mounted`,
            `forecast`, `inodes_forecast`, `dump_fit`, `drill_fit`, `retention_fit`, `backups`.
        level: the answer.
        falls_to: the level that the same measurement gives with every threshold a little earlier;
            what a level once reached falls back to (see `alerts`).
        values: what the words need.
    """

    code: str
    level: str
    falls_to: str
    values: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


FAR_DAYS = 730.0


def left_text(words: gettext.NullTranslations, code: str, left: float) -> str:
    """What is left, such as `20 GB left` or, of inodes, `5000 left`."""
    size = f"{left:.0f}" if code == "inodes" else quantity.size(left)
    return words.gettext("%(size)s left") % {"size": size}


def text(words: gettext.NullTranslations, cause: Mapping[str, Any]) -> str:
    """One cause in words, such as `space 85.9% used (14 GB left), critical from 80%`."""
    say, values = words.gettext, cause["values"]
    code, level = cause["code"], cause["level"]
    if code in ("space", "inodes"):
        return _use(words, code, level, values)
    if code == "read_only":
        return say("mounted read-only")
    if code == "not_mounted":
        return say("not mounted")
    if code == "unmeasured":
        return str(say("cannot be measured: %(why)s") % values)
    if code in ("forecast", "inodes_forecast"):
        return _growth(words, code, values)
    if code in ("dump_fit", "drill_fit"):
        return _room(words, code, level, values)
    if code == "retention_fit":
        if values["nights"] >= values["horizon"]:
            return say("the retention plan fits for %(nights)d nights or more") % {
                "nights": values["horizon"]
            }
        return words.ngettext(
            "the retention plan fits for %(nights)d more night",
            "the retention plan fits for %(nights)d more nights",
            values["nights"],
        ) % {"nights": values["nights"]}
    return str(say("the backups cannot be read: %(why)s") % values)


def _use(words: gettext.NullTranslations, code: str, level: str, values: Mapping[str, Any]) -> str:
    say = words.gettext
    if code == "inodes":
        said = say("inodes %(percent)s%% used")
    elif values.get("share"):
        said = say("takes %(percent)s%% of its disk")
    else:
        said = say("space %(percent)s%% used")
    said = said % {"percent": f"{values['percent']:.1f}"}
    if values.get("left") is not None:  # results that earlier versions kept have none
        said += f" ({left_text(words, code, values['left'])})"
    if level == "ok":
        return said
    limit = values["limit"]
    begins = f"{limit:g}%" if values["limit_is_percent"] else left_text(words, code, limit)
    return said + say(", %(level)s from %(limit)s") % {"level": level, "limit": begins}


def subject(words: gettext.NullTranslations, code: str, target: str, folder: bool) -> str:
    """What a message is about, such as `disk /srv`: nobody reads one with `/srv` in hand.

    Args:
        words: of the message's language.
        code: a question that is told apart from the target's level, or empty for the level.
        target: its path.
        folder: whether it is a folder that is judged.
    """
    say = words.gettext
    if code == "dump_fit":
        return say("room for tonight's dump")
    if code == "drill_fit":
        return say("room for a restore drill")
    if code == "retention_fit":
        return say("room for the retention plan")
    about = say("folder %(path)s") if folder else say("disk %(path)s")
    return about % {"path": target}


def days_text(words: gettext.NullTranslations, days: float) -> str:
    """A time to come, such as `6 days` or `18 hours`: cut, so that it is never overstated. A month
    of samples says little of what lies years ahead."""
    if days >= FAR_DAYS:
        return words.gettext("more than 2 years")
    if days < 2:
        hours = int(days * 24)
        return words.ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return words.ngettext("%(count)d day", "%(count)d days", int(days)) % {"count": int(days)}


def _growth(words: gettext.NullTranslations, code: str, values: Mapping[str, Any]) -> str:
    say = words.gettext
    text = (
        say("emergency in %(time)s") if code == "forecast" else say("inodes: emergency in %(time)s")
    )
    said = text % {"time": days_text(words, values["days"])}
    if values["days_to_full"] is not None:
        said += say(", full in %(time)s") % {"time": days_text(words, values["days_to_full"])}
    return said + say(" at the present growth")


def _room(words: gettext.NullTranslations, code: str, level: str, values: Mapping[str, Any]) -> str:
    say = words.gettext
    # "fits" alone would be no reason for an alert: what fits only just is said in other words.
    texts = {
        ("dump_fit", "fits"): say("tonight's dump (up to %(needs)s) fits into %(available)s"),
        ("dump_fit", "just"): say(
            "room for less than two dumps: tonight's takes up to %(needs)s, %(available)s are left"
        ),
        ("dump_fit", "not"): say(
            "tonight's dump will not fit: it takes up to %(needs)s, %(available)s are left"
        ),
        ("drill_fit", "fits"): say("a restore drill (%(needs)s) fits into %(available)s"),
        ("drill_fit", "just"): say(
            "room for less than two restore drills: one takes %(needs)s, %(available)s are left"
        ),
        ("drill_fit", "not"): say(
            "a restore drill will not fit: it takes %(needs)s, %(available)s are left"
        ),
    }
    if values["fits"] is None:
        return say("nobody knows whether a restore drill fits: its place does not answer")
    sizes = {name: quantity.size(values[name]) for name in ("needs", "available")}
    how = "not" if not values["fits"] else "fits" if level == "ok" else "just"
    return texts[code, how] % sizes
