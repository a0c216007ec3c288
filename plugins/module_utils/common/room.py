# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a work folder has room for what is written to it."""

from __future__ import annotations

import os
from collections.abc import Callable

from .errors import ResilienceError
from .messages import _


def require_room(size: int, folder: str, problem: Callable[[int, int], str]) -> None:
    """Check that files fit into a work folder.

    Args:
        size: their bytes.
        folder: the work folder.
        problem: returns the sentence for the bytes that are needed, and those that fit.

    Raises:
        ResilienceError: they do not fit.
    """
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if size > free:
        raise ResilienceError(
            problem(size, free),
            option="work_dir",
            value=folder,
            remedy=_("make room there, or name a folder on another filesystem"),
        )
