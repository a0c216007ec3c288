# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read times in ISO 8601, alike on every Python.

`datetime.fromisoformat` of Python 3.9 and 3.10 refuses `2026-11-27T02:15:00Z` and `20261127T0215`.
"""

from __future__ import annotations

import datetime
import re

_ISO = (
    r"(?P<date>\d{4}-\d\d-\d\d|\d{8})"
    r"(?:[T ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?"
    r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)


def parse(text: str) -> datetime.datetime:
    """Return the time that a text states, with a zone if it names one.

    Raises:
        ValueError: the text is no date, and no date with a time.
    """
    # Compiled where it is needed: most runs read no time.
    found = re.fullmatch(_ISO, text, re.ASCII)
    if found is None:
        raise ValueError(f"this is no time in ISO 8601: {text!r}")
    date = found["date"].replace("-", "")
    return datetime.datetime(
        int(date[:4]),
        int(date[4:6]),
        int(date[6:]),
        int(found["hour"] or 0),
        int(found["minute"] or 0),
        int(found["second"] or 0),
        int((found["fraction"] or "")[:6].ljust(6, "0")),
        _zone(found["zone"]),
    )


def _zone(text: str | None) -> datetime.tzinfo | None:
    if not text:
        return None
    digits = text.strip("Z+-").replace(":", "").ljust(4, "0")
    offset = datetime.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return datetime.timezone(-offset if text.startswith("-") else offset)
