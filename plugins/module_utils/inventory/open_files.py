# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Detection of files that a process still writes.

The kernel grants a read lease only for a file that no process has open for writing (fcntl(2),
"Leases"), whichever container the writer runs in, at the cost of a few system calls. The lease is
given back at once. Where the kernel grants none (a file of another user, a filesystem without
leases) the open files of all processes are read, which takes longer and does not see other
containers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterable

_URGENT = int(signal.SIGURG)


def being_written(paths: Iterable[str]) -> set[str]:
    """Return those files that some process has open for writing; missing files are not."""
    writing, without_lease = set[str](), list[str]()
    for path in paths:
        try:
            if has_writer(path):
                writing.add(path)
        except FileNotFoundError:
            continue
        except OSError:
            without_lease.append(path)
    return writing | _found_open(without_lease) if without_lease else writing


def has_writer(path: str) -> bool:
    """Return whether some process has a file open for writing.

    Raises:
        OSError: there is no such file, or the kernel grants no lease for it.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return opened_has_writer(number)
    finally:
        os.close(number)


def opened_has_writer(number: int) -> bool:
    """Return whether some process has the file of a descriptor, opened to read, open for writing.

    Raises:
        OSError: the kernel grants no lease for it.
    """
    try:
        # A process that opens the file during the lease makes the kernel signal this one; the
        # default signal would end it, this one is ignored by default.
        fcntl.fcntl(number, fcntl.F_SETSIG, _URGENT)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    return False


def _found_open(paths: Iterable[str]) -> set[str]:
    """Return the same by `/proc/<pid>/fd` and `fdinfo` (proc(5)), as far as permitted."""
    candidates: dict[tuple[int, int], str] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            candidates[seen.st_dev, seen.st_ino] = path
    writing = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    seen = os.stat(f"/proc/{pid}/fd/{number}")
                    key = (seen.st_dev, seen.st_ino)
                    if key in candidates and _is_write_mode(pid, number):
                        writing.add(candidates[key])
    return writing


def _is_write_mode(pid: str, number: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as info:
        for line in info:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    raise OSError(errno.EINVAL, "fdinfo holds no flags")
