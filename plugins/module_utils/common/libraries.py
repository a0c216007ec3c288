# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that are not Python's own, loaded where they are used: a host may lack one."""

from __future__ import annotations

import sys
from types import ModuleType

from .errors import ResilienceError
from .messages import _
from .safe_text import error_line


def load_psutil() -> ModuleType:
    """Return psutil.

    Raises:
        ResilienceError: it is missing or damaged.
    """
    try:
        import psutil
    except Exception as error:  # a damaged one raises anything
        raise ResilienceError(
            _(
                "psutil cannot be loaded, which reads filesystems and processes: %(why)s",
                why=error_line(error),
            ),
            option="python",
            value=sys.executable,
            remedy=_("install python3-psutil (Debian), or psutil for this interpreter"),
        ) from error
    return psutil
