# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error for a backup that the system does not let read."""

from __future__ import annotations

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason


def unreadable_error(path: str, error: OSError) -> ResilienceError:
    """Return the error for a backup that cannot be read.

    Args:
        path: of the backup.
        error: the system's.
    """
    return ResilienceError(
        _("the backup cannot be read: %(why)s", why=reason(error)),
        option="backup",
        value=path,
        remedy=_("name a file that exists and may be read"),
    )
