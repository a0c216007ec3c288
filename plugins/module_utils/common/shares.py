# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Format shares for people, by the examples of the plan, in every language.

- A share (`45%`, `0.05%`) is cut, never rounded up, so that a limit that was not reached is never
  shown as reached: whole from 1% on, two decimals below, `<0.01%` for less than that.
- A confidence is `100%` only when it is exactly 100, and is otherwise cut to one decimal.
"""

from __future__ import annotations


def _cut(digits: str, places: int) -> str:
    """Return a number, written out, with so many decimals and no rounding."""
    whole, _point, decimals = digits.partition(".")
    return f"{whole}.{decimals[:places].ljust(places, '0')}" if places else whole


def percent(value: float | None) -> str:
    """Return a share in percent, such as `45%` or `0.05%`; `?%` when it is not known."""
    if value is None:
        return "?%"
    if 0 < value < 0.01:
        return "<0.01%"
    # 0.57 * 100 is a float just under 57, which is meant to be 57.
    digits = f"{round(float(value), 9):.9f}"
    if value >= 1:
        return f"{_cut(digits, 0)}%"
    return _cut(digits, 2).rstrip("0").rstrip(".") + "%"


def confidence(value: float | None) -> str:
    """Return the confidence of a drill, such as `100%` or `98.4%`; `?%` when it is not known."""
    if value is None:
        return "?%"
    if value == 100:
        return "100%"
    digits = repr(float(value))
    return f"{_cut('0' if 'e' in digits else digits, 1)}%"
