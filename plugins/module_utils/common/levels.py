# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Levels, and the thresholds from which each begins."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import ResilienceError
from .zip_equal import zip_equal

OK, WARNING, CRITICAL, EMERGENCY, UNKNOWN = "ok", "warning", "critical", "emergency", "unknown"
# From best to worst. Unknown is worse than ok and never hides a level that is known to be bad.
LEVELS = (OK, UNKNOWN, WARNING, CRITICAL, EMERGENCY)
# Monitoring Plugins development guidelines, "Plugin Return Codes".
EXIT_CODES = {OK: 0, WARNING: 1, CRITICAL: 2, EMERGENCY: 2, UNKNOWN: 3}
RISING = (WARNING, CRITICAL, EMERGENCY)
# The plan's, percent used.
DEFAULTS = {WARNING: 70, CRITICAL: 80, EMERGENCY: 90}
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = r"(\d+(?:\.\d+)?)\s*(?:([KMGTP])(?:i?B)?|B)(?:\s+left)?"
# The prefix sets it apart from a percentage; without it a slip such as 700 for 70 would pass.
_COUNT = r"(\d+)\s+left"

# Level: its emoji, its word (the plan's, in every language) and its ANSI colour.
LEVEL_DISPLAY = {
    "ok": ("✅", "OK", "32"),
    "warning": ("🟡", "WARNING", "33"),
    "critical": ("🟠", "CRITICAL", "38;5;208"),
    "emergency": ("🔴", "EMERGENCY", "1;31"),
    "unknown": ("❓", "UNKNOWN", "35"),
}


def worst(levels: Iterable[str]) -> str:
    """Return the worst of several levels; `unknown` for none at all, for nothing was measured."""
    return max(levels, key=LEVELS.index, default=UNKNOWN)


def exit_code(level: str) -> int:
    """Return the exit code for a level, by the monitoring-plugins convention."""
    return EXIT_CODES[level]


def reaches(level: str, limit: str) -> bool:
    """Return whether a level is as bad as a limit, which is `never` or a level.

    `unknown` reaches every level, for nobody knows that it is better.
    """
    if limit == "never":
        return False
    return level == UNKNOWN or LEVELS.index(level) >= LEVELS.index(limit)


def _parse_threshold(option: str, value: object, inodes: bool) -> tuple[float, bool]:
    """Return a threshold's number, and whether it is a percentage (else an amount left)."""
    number: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"\d+(\.\d+)?\s*%?", text):
            number = float(text.rstrip("% "))
        elif inodes and (match := re.fullmatch(_COUNT, text, re.IGNORECASE)):
            return float(match[1]), False
        elif not inodes and (match := re.fullmatch(_SIZE, text, re.IGNORECASE)):
            return float(match[1]) * _UNITS[(match[2] or "").upper()], False
    if number is None or not 0 < number <= 100:
        left = "a number of inodes left" if inodes else "a size"
        such = "'50000 left' (inodes left)" if inodes else "a size such as 20GB (bytes left)"
        raise ResilienceError(
            f"a threshold is neither a percentage above 0 and up to 100 nor {left}",
            option=option,
            value=value,
            remedy=f"give a number such as 70 (percent used) or {such}",
        )
    return number, True


class Thresholds:
    """The threshold of each level; the plan's 70, 80 and 90 percent used by default.

    Each is a percentage used (`70`, `"70%"`), or what is left: bytes (`"20GB"`, in steps of 1024)
    or inodes (`"50000 left"`); all three of one kind, for only then can their order be known
    beforehand.

    Attributes:
        percent: whether they are percentages, else what is left.

    Args:
        prefix: of the options' names where they were given, such as `targets[0].`.
        inodes: whether they are about inodes, else about bytes.

    Raises:
        ResilienceError: one is neither, or they are of both kinds or not in order; names it.
    """

    __slots__ = ("critical", "emergency", "percent", "warning")

    def __init__(
        self,
        warning: float | str = DEFAULTS[WARNING],
        critical: float | str = DEFAULTS[CRITICAL],
        emergency: float | str = DEFAULTS[EMERGENCY],
        prefix: str = "",
        *,
        inodes: bool = False,
    ) -> None:
        given = dict(zip_equal(RISING, (warning, critical, emergency)))
        prefix, left = (f"{prefix}inodes_", "inodes left") if inodes else (prefix, "bytes left")
        parsed = {
            name: _parse_threshold(prefix + name, value, inodes) for name, value in given.items()
        }
        self.warning, self.critical, self.emergency = (parsed[name][0] for name in RISING)
        self.percent = parsed[WARNING][1]
        for lower, upper in ((WARNING, CRITICAL), (CRITICAL, EMERGENCY)):
            if parsed[lower][1] != parsed[upper][1]:
                raise ResilienceError(
                    f"the threshold {lower} is of another kind than {upper} ({given[upper]})",
                    option=prefix + lower,
                    value=given[lower],
                    remedy=f"give all three in percent used, or all three in {left}",
                )
            first, second = parsed[lower][0], parsed[upper][0]
            if first >= second if self.percent else first <= second:
                order = "warning < critical < emergency"
                if not self.percent:
                    order = f"{order.replace('<', '>')} {left}"
                raise ResilienceError(
                    f"the threshold {lower} is not before {upper} ({given[upper]})",
                    option=prefix + lower,
                    value=given[lower],
                    remedy=f"give {order}",
                )

    def _values(self) -> tuple[float, float, float, bool]:
        return self.warning, self.critical, self.emergency, self.percent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thresholds) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def limit(self, level: str) -> float:
        """Return the percentage used, or the amount left, from which a level begins."""
        return float(getattr(self, level))

    def judge(self, percent: float, left: float = 0, usable: float = 0, slack: float = 0) -> str:
        """Return the level of a measurement: each begins at its threshold.

        Args:
            percent: used.
            left: bytes or inodes left; matters where the thresholds are of that kind.
            usable: how many there are in all; matters for `slack` then.
            slack: percentage points by which every threshold is put earlier. With it, this is the
                level that a level once reached falls back to (hysteresis, see `alerts`).
        """
        for level in reversed(RISING):
            limit = self.limit(level)
            if percent >= limit - slack if self.percent else left <= limit + usable * slack / 100:
                return level
        return OK

    def percent_at(self, level: str, usable: float) -> float:
        """Return the percentage used at which a level begins, of so many usable bytes or inodes."""
        if self.percent:
            return self.limit(level)
        return 100 * max(0.0, 1 - self.limit(level) / usable) if usable else 0.0
