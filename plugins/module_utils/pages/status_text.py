# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States and words of the status page: what is overdue, how old it is, where it is heading."""

from __future__ import annotations

import gettext
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import quantity
from ..disk.disk_causes import level_word
from ..notifications.notification_settings import OVERDUE_HOURS

NONE, OK, WARN, UNKNOWN, BAD = "none", "ok", "warn", "unknown", "bad"
# From best to worst. Each has a sign, so that nothing depends on colour alone.
STATES = (NONE, OK, WARN, UNKNOWN, BAD)
SIGNS = {NONE: "–", OK: "✓", WARN: "!", UNKNOWN: "?", BAD: "✕"}
OF_LEVEL = {
    "ok": OK,
    "warning": WARN,
    "critical": BAD,
    "emergency": BAD,
    "unknown": UNKNOWN,
    "never": NONE,
}


def worst(states: Sequence[str]) -> str:
    """Return the worst of several states; `none` for none at all."""
    return max(states, key=STATES.index, default=NONE)


def is_overdue(part: Mapping[str, Any], now: float) -> bool:
    """Return whether a part had no good run for longer than it may."""
    due = part.get("due")
    return due is not None and now > due


def part_state(part: Mapping[str, Any], now: float) -> str:
    """Return the state of a part: what is overdue is as bad as what failed."""
    return BAD if is_overdue(part, now) else OF_LEVEL.get(str(part.get("level")), UNKNOWN)


def host_state(host: Mapping[str, Any], now: float) -> str:
    """Return the state of a host; one that gave no status is as bad as one that failed."""
    if host.get("problem"):
        return BAD
    parts = host.get("parts") or []
    if all(part["time"] is None and not is_overdue(part, now) for part in parts):
        return NONE
    states = [part_state(part, now) for part in parts]
    # What never ran says nothing, so the host is not ok.
    return worst([UNKNOWN if state == NONE else state for state in states])


def bad_parts(host: Mapping[str, Any]) -> int:
    """Return how many parts of a host failed: it stands before those that are only overdue.

    One that gave no status may have failed in all.
    """
    parts = host.get("parts") or []
    levels = [OF_LEVEL.get(str(part.get("level")), UNKNOWN) for part in parts]
    return len(OVERDUE_HOURS) if host.get("problem") else levels.count(BAD)


def headline(translations: gettext.NullTranslations, state: str) -> str:
    """Return the sentence at the top of the page."""
    tr = translations.gettext
    return {
        NONE: tr("Nothing has run yet"),
        OK: tr("All is well"),
        WARN: tr("In order, with warnings"),
        UNKNOWN: tr("Not everything could be verified"),
        BAD: tr("Action needed"),
    }[state]


def state_word(translations: gettext.NullTranslations, state: str, hosts: int) -> str:
    """Return what a state of hosts is called after their number."""
    tr = translations.gettext
    return {
        NONE: tr("nothing yet"),
        OK: tr("ok"),
        WARN: tr("with warnings"),
        UNKNOWN: tr("not verified"),
        BAD: translations.ngettext("needs action", "need action", hosts),
    }[state]


def part_title(translations: gettext.NullTranslations, part: Mapping[str, Any]) -> str:
    """Return the title of a part; of one of several destinations with its name."""
    tr = translations.gettext
    title = {
        "disk": tr("Disk"),
        "offsite": tr("Offsite copy"),
        "drill": tr("Restore drill"),
    }[str(part["id"])]
    name = part.get("name")
    return f"{title}: {name}" if name and name != "default" else title


def overdue_word(translations: gettext.NullTranslations) -> str:
    """Return the word for a part that is overdue."""
    return translations.gettext("overdue")


def part_word(translations: gettext.NullTranslations, part: Mapping[str, Any], now: float) -> str:
    """Return the state of a part in a word or two; of the disk with its fullest target."""
    tr, level = translations.gettext, str(part.get("level"))
    if is_overdue(part, now) and OF_LEVEL.get(level) != BAD:
        return overdue_word(translations)
    if part["id"] == "drill" and level in ("ok", "critical", "unknown"):
        return {
            "ok": tr("proved to restore"),
            "critical": tr("failed"),
            "unknown": tr("could not verify"),
        }[level]
    word = tr("never run") if level == "never" else level_word(translations, level)
    if part["id"] == "disk" and part.get("targets"):
        return f"{word}, {share(fullest(part).get('percent'))}"
    if part["id"] == "offsite" and level == "critical":
        return tr("failed")
    return word


def share(percent: float | None) -> str:
    """Return a share in percent, cut as `shares.percent` does it.

    Not that function, because the module `decimal` takes longer to load than the page to make.
    """
    if percent is None:
        return "?%"
    if 0 < percent < 0.01:
        return "<0.01%"
    cut = int(percent + 1e-9) if percent >= 1 else int(percent * 100 + 1e-9) / 100
    return f"{cut:g}%"


def fullest(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fullest target of a disk."""
    found: Mapping[str, Any] = max(
        part["targets"], key=lambda target: float(target.get("percent") or 0.0)
    )
    return found


def ago(translations: gettext.NullTranslations, seconds: float) -> str:
    """Return an age in its largest unit, such as `2 hours ago`, as browsers write it."""
    whole = max(0, int(seconds))
    if whole < 60:
        return translations.gettext("less than a minute ago")
    if whole < 3600:
        count = whole // 60
        text = translations.ngettext("%(count)d minute ago", "%(count)d minutes ago", count)
    elif whole < 2 * 86400:
        count = whole // 3600
        text = translations.ngettext("%(count)d hour ago", "%(count)d hours ago", count)
    else:
        count = whole // 86400
        text = translations.ngettext("%(count)d day ago", "%(count)d days ago", count)
    return text % {"count": count}


def overdue_text(
    translations: gettext.NullTranslations, part: Mapping[str, Any], now: float
) -> str:
    """Return for how long a part is overdue, and what to do."""
    tr = translations.gettext
    late = quantity.duration(translations, now - float(part["due"]))
    text = {
        "disk": tr("Overdue for %(time)s: the monitor does not run. Look at cron and its log."),
        "offsite": tr("Overdue for %(time)s: no sync was completed. Look at cron and its log."),
        "drill": tr(
            "Overdue for %(time)s: no backup was proved to restore. Run a drill, or schedule it."
        ),
    }[str(part["id"])]
    return text % {"time": late}


def reason_text(translations: gettext.NullTranslations, reason: Mapping[str, Any]) -> str:
    """Return one reason; that of a verification in the page's language."""
    counts = reason.get("counts")
    if not counts:
        return str(reason["text"])
    if not any(counts.values()):
        return translations.gettext(
            "The remote copy could not be verified in full: nothing is claimed about it"
        )
    text = translations.gettext(
        "Local and remote are NOT in sync: "
        "%(missing)d missing, %(extra)d extra, %(different)d different"
    )
    return str(text % counts)


def free_text(translations: gettext.NullTranslations, target: Mapping[str, Any]) -> str:
    """Return how much of a target is left."""
    if target.get("bytes_available") is None:
        return translations.gettext("unknown")
    size = quantity.size(target["bytes_available"])
    return translations.gettext("%(size)s free") % {"size": size}


def disk_trend(translations: gettext.NullTranslations, target: Mapping[str, Any]) -> str:
    """Return by how much a target grew, such as `+3.1 points in 30 days`."""
    days = target.get("days") or []
    known = [(at, value) for at, value in enumerate(days) if value is not None]
    if len(known) < 2:
        return translations.gettext("no trend yet")
    change, span = known[-1][1] - known[0][1], known[-1][0] - known[0][0]
    if abs(change) < 0.05:
        text = translations.ngettext(
            "unchanged for %(count)d day", "unchanged for %(count)d days", span
        )
        return text % {"count": span}
    text = translations.ngettext(
        "%(change)s points in %(count)d day", "%(change)s points in %(count)d days", span
    )
    return text % {"change": f"{change:+.1f}", "count": span}


def runs_text(translations: gettext.NullTranslations, states: Sequence[str]) -> str:
    """Return how many of the last runs were good."""
    good = sum(state in (OK, WARN) for state in states)
    text = translations.ngettext(
        "%(good)d of the last %(count)d run was good",
        "%(good)d of the last %(count)d runs were good",
        len(states),
    )
    return text % {"good": good, "count": len(states)}


def recovery_trend(translations: gettext.NullTranslations, part: Mapping[str, Any]) -> str:
    """Return the recovery time of the last drill, beside that of the one before."""
    figures = part["figures"]
    text = quantity.brief_duration(figures["rto_seconds"])
    before = [one for one in (figures.get("seconds") or [])[:-1] if one is not None]
    if not before:
        return text
    previous = quantity.brief_duration(before[-1])
    return translations.gettext("%(now)s, before it %(before)s") % {
        "now": text,
        "before": previous,
    }


def brief_trend(translations: gettext.NullTranslations, part: Mapping[str, Any]) -> str:
    """Return the trend of a part for a cell of the table; empty where there is none."""
    if part["id"] == "disk":
        return disk_trend(translations, fullest(part)) if part.get("targets") else ""
    runs = part.get("runs") or []
    if not runs:
        return ""
    good = sum(OF_LEVEL[level] in (OK, WARN) for _moment, level in runs)
    return translations.gettext("%(good)d of %(count)d good") % {"good": good, "count": len(runs)}


def more_text(translations: gettext.NullTranslations, count: int) -> str:
    """Return how many targets are not shown."""
    text = translations.ngettext(
        "%(count)d more is not shown", "%(count)d more are not shown", count
    )
    return text % {"count": count}


def more_hosts_text(translations: gettext.NullTranslations, count: int) -> str:
    """Return how many hosts are only in the table."""
    text = translations.ngettext(
        "%(count)d more host in the table below", "%(count)d more hosts in the table below", count
    )
    return text % {"count": count}
