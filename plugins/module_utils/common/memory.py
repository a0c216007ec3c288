# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the C library give freed memory back to the system."""

from __future__ import annotations

import contextlib
import ctypes

# M_MMAP_THRESHOLD of mallopt(3).
_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 18
# With fewer paths the holes are small, and blocks of the kernel cost more than they save.
MANY_PATHS = 50_000


def give_large_blocks_back() -> None:
    """Let each large block of memory be one of the kernel's, which is given back when it is freed.

    glibc raises the size from which that is so with each block that is freed; arrays that grow side
    by side then leave holes behind that nobody uses.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
