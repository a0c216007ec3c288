# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Format figures for people: sizes and durations; `shares` has percentages.

The rules reproduce the examples of the plan, in every language:

- A size (`45.2 GB`, `100 GB`, `52 MB`) is counted in steps of 1024 under the unit names B, KB, MB,
  GB, TB, PB. It has one decimal, to the nearest, which goes when it is zero or the figure is 100 or
  more.
- A short size (`36K`) is rounded up, with one decimal below 10, as `ls -lh` does it.
- A duration (`45 seconds`) is whole from ten seconds on and has one decimal below.
- A recovery time (`< 1 minute`, `3 minutes`) is counted in whole minutes, rounded up.
"""

from __future__ import annotations

import gettext
import math

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_SHORT_UNITS = ("B", "K", "M", "G", "T", "P")


def _trim(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def size(count: int | float | None) -> str:
    """Return a number of bytes, such as `45.2 GB`; `?` when it is not known."""
    if count is None:
        return "?"
    value, unit = float(count), 0
    # 1023.96 KB would be written 1024 KB, which is 1 MB.
    while unit < len(_UNITS) - 1 and round(value, 0 if value >= 100 else 1) >= 1024:
        value, unit = value / 1024, unit + 1
    figure = f"{value:.0f}" if unit == 0 or value >= 99.95 else _trim(value)
    return f"{figure} {_UNITS[unit]}"


def short_size(count: int | None) -> str:
    """Return a number of bytes in short, such as `36K`; `?` when it is not known."""
    if count is None:
        return "?"
    value, unit = float(count), 0
    while unit < len(_SHORT_UNITS) - 1 and math.ceil(value) >= 1024:
        value, unit = value / 1024, unit + 1
    tenths = math.ceil(value * 10)
    figure = f"{tenths / 10:.1f}" if unit and tenths < 100 else str(math.ceil(value))
    return figure + _SHORT_UNITS[unit]


def _seconds(translations: gettext.NullTranslations, value: float) -> str:
    if 0 < value < 0.05:
        return translations.gettext("< 0.1 seconds")
    figure = _trim(value)
    number = 1 if figure == "1" else 2
    return translations.ngettext("%(figure)s second", "%(figure)s seconds", number) % {
        "figure": figure
    }


def _minutes(translations: gettext.NullTranslations, count: int) -> str:
    return translations.ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count}


def _hours(translations: gettext.NullTranslations, count: int) -> str:
    return translations.ngettext("%(count)d hour", "%(count)d hours", count) % {"count": count}


def _days(translations: gettext.NullTranslations, count: int) -> str:
    return translations.ngettext("%(count)d day", "%(count)d days", count) % {"count": count}


def _both(translations: gettext.NullTranslations, large: str, small: str) -> str:
    return translations.gettext("%(large)s and %(small)s") % {"large": large, "small": small}


def duration(translations: gettext.NullTranslations, seconds: float | None) -> str:
    """Return a duration as text, at most two units: `45 seconds`, `12 hours and 30 minutes`."""
    if seconds is None:
        return translations.gettext("not measured")
    if seconds < 9.95:
        return _seconds(translations, max(seconds, 0))
    whole = round(seconds)
    if whole < 60:
        return _seconds(translations, whole)
    if whole < 3600:
        large, rest = divmod(whole, 60)
        text = _minutes(translations, large)
        return _both(translations, text, _seconds(translations, rest)) if rest else text
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        large, rest = divmod(minutes, 60)
        text = _hours(translations, large)
        return _both(translations, text, _minutes(translations, rest)) if rest else text
    large, rest = divmod(round(seconds / 3600), 24)
    text = _days(translations, large)
    return _both(translations, text, _hours(translations, rest)) if rest else text


def recovery_time(translations: gettext.NullTranslations, seconds: float | None) -> str:
    """Return a recovery time, never understated: `< 1 minute`, then whole minutes rounded up."""
    if seconds is None:
        return translations.gettext("not measured")
    if seconds < 60:
        return translations.gettext("< 1 minute")
    return duration(translations, math.ceil(round(seconds, 6) / 60) * 60)


def brief_duration(seconds: float | None) -> str:
    """Return a duration for a chart or a table, the same in every language: `420 ms`, `2 min 5 s`.

    What took less than can be shown took something all the same: `<1 ms`.
    """
    if seconds is None:
        return "?"
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{_trim(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        large, rest = divmod(whole, 60)
        return f"{large} min" + (f" {rest} s" if rest else "")
    large, rest = divmod(round(seconds / 60), 60)
    return f"{large} h" + (f" {rest} min" if rest else "")
