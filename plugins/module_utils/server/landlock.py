# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Landlock: the kernel lets this process, and what it starts, write in one folder only.

What an attacker makes a program do by a hostile stream then stays in that folder, whatever links
lie in it. Constants and structures are those of linux/landlock.h; see landlock(7).
"""

from __future__ import annotations

import ctypes
import os

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_REPORT_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS, linux/prctl.h
_WRITE_FILE = 1 << 1
# REMOVE_DIR, REMOVE_FILE and every MAKE_*; of version 1.
_ENTRIES = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # of versions 2 and 3
# From this version (Linux 6.2) no file elsewhere can be truncated either. What no version forbids:
# reading, and changing the modes and times of what the account owns.
WHOLE = 3


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled_access_fs", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def version() -> int:
    """Return the kernel's version of Landlock; 0 where it has none, or it is switched off."""
    return max(0, _syscall(_CREATE_RULESET, None, 0, _REPORT_VERSION))


def write_only_in(folder: str) -> bool:
    """Take from this process every right to write outside `folder`, for ever.

    Returns:
        Whether the kernel does so. Version 2 is the least: before it no file could be renamed from
        one folder to another, which rsync's partial files need.

    Raises:
        OSError: the kernel has Landlock, but refused; nothing may be run then.
    """
    held = version()
    if held < 2:
        return False
    rights = _WRITE_FILE | _ENTRIES | _REFER | (_TRUNCATE if held >= 3 else 0)
    rules = _checked(
        _syscall(
            _CREATE_RULESET,
            ctypes.byref(_Ruleset(rights)),
            ctypes.sizeof(_Ruleset),
            0,
        )
    )
    try:
        for path, allowed in ((folder, rights), (os.devnull, _WRITE_FILE)):
            _allow(rules, path, allowed)
        _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(_syscall(_RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
    return True


_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    return int(_libc.syscall(number, *arguments))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _allow(rules: int, path: str, allowed: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        beneath = _Beneath(allowed, descriptor)
        _checked(_syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(beneath), 0))
    finally:
        os.close(descriptor)
