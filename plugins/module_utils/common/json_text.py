# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read JSON that may be damaged, or written by somebody hostile.

Python's reader gives up on deep nesting with an error of its own (RecursionError), which is none of
those that a reader of a damaged file expects.
"""

from __future__ import annotations

import json
from typing import IO, Any


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def load(file: IO[str]) -> Any:
    """Return the value of a JSON file; see `loads`."""
    return loads(file.read())
