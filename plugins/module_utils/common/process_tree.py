# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a process has started, and how all of them are ended."""

from __future__ import annotations

import contextlib
import os
import signal


def kill_with_descendants(pid: int) -> None:
    """Kill a process, and what it started in sessions of its own, which would go on without it."""
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on (proc(5), `children`)."""
    children = []
    # Each thread has a list of its own.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += [int(text) for text in file.read().split()]
    return children + [one for child in children for one in _descendants(child)]
