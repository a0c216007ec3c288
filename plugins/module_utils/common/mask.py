# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mask the secrets of the configuration in every text that is shown or kept.

`settings.parse` registers the secrets (known_secrets.py), and what writes (output, logs, reports,
history, messages) masks them by their values: a backend that repeats a request gives nothing away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MARK = "********"

_source: Callable[[], re.Pattern[str]] | None = None


def set_source(source: Callable[[], re.Pattern[str]] | None) -> None:
    """Mask what the expression of this function finds from now on; None for nothing."""
    global _source
    _source = source


def mask(text: str) -> str:
    """Return the text without the secrets that are known."""
    return text if _source is None else _source().sub(MARK, text)


def mask_all(value: Any) -> Any:
    """Return plain values with the secrets masked in each text."""
    if _source is None:
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: mask_all(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_all(one) for one in value]
    return value
