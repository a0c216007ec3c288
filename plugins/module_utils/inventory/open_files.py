# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files somebody still writes.

The kernel itself is asked, by a read lease: it is granted only for a file that nobody has open for
writing (fcntl(2), "Leases"), whichever container the writer runs in, at the cost of a few system
calls. It is given back at once. Where it cannot be had (a file of another user's, a filesystem
without leases) the open files of all processes are looked through, which takes longer and sees no
other container's.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterable


def being_written(paths: Iterable[str]) -> set[str]:
    """Those of the files that some process has open for writing; a file that is gone is not."""
    writing, unanswered = set[str](), list[str]()
    for path in paths:
        try:
            if _has_writer(path):
                writing.add(path)
        except FileNotFoundError:
            continue
        except OSError:
            unanswered.append(path)
    return writing | _found_open(unanswered) if unanswered else writing


def _has_writer(path: str) -> bool:
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # Who opens the file in the moment of our lease makes the kernel signal us; the default
        # signal would end us, this one is ignored by default.
        fcntl.fcntl(number, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(number, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def _found_open(paths: Iterable[str]) -> set[str]:
    """From `/proc/<pid>/fd` and the access mode in `/proc/<pid>/fdinfo` (proc(5)), of every process
    that we may look into."""
    wanted: dict[tuple[int, int], str] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            wanted[seen.st_dev, seen.st_ino] = path
    writing = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    seen = os.stat(f"/proc/{pid}/fd/{number}")
                    key = (seen.st_dev, seen.st_ino)
                    if key in wanted and _is_write_mode(pid, number):
                        writing.add(wanted[key])
    return writing


def _is_write_mode(pid: str, number: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="utf-8") as info:
        for line in info:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    raise OSError(errno.EINVAL, "no flags are told")
