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


def load_psutil() -> ModuleType:
    """Return psutil.

    Raises:
        ResilienceError: it is missing.
    """
    try:
        import psutil
    except ImportError as error:
        raise ResilienceError(
            _("psutil is missing, which reads filesystems and processes"),
            option="python",
            value=sys.executable,
            remedy=_("install python3-psutil (Debian), or psutil for this interpreter"),
        ) from error
    return psutil
