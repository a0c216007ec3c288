# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts programs that outlive their starter, knows them again, and ends them.

A process number can be used again, so a program is known by its number and the moment it began.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from .process import cannot_run


@dataclasses.dataclass(frozen=True)
class Running:
    """One program: its process number, and when it began in clock ticks since boot."""

    pid: int
    began: str


def start(
    arguments: Sequence[str], *, log_path: str, env: Mapping[str, str] | None = None
) -> Running:
    """Starts a program in a session of its own; what it says goes to a log.

    Args:
        arguments: the program and its arguments.
        log_path: the log, appended to.
        env: its environment; ours when left out.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    with open(log_path, "ab") as log:
        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise cannot_run(arguments[0], error) from error
    # We never ask this object again; `alive` and `end` go by number and beginning.
    process.returncode = 0
    return Running(process.pid, began(process.pid) or "")


def began(pid: int) -> str | None:
    """When a process began, in clock ticks (proc(5), field 22 of stat); None if there is none.

    A zombie has ended: only its number is still taken.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def alive(running: Running) -> bool:
    """Whether that very program still runs."""
    return began(running.pid) == running.began


def end(running: Running, signals: Sequence[int], seconds: float = 10) -> None:
    """Ends a program and its session's other processes: each signal in turn, in the end SIGKILL."""
    for number in [*signals, signal.SIGKILL]:
        if not alive(running):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        deadline = time.monotonic() + seconds
        while alive(running) and time.monotonic() < deadline:
            time.sleep(0.02)
    # What it started in its session has no other parent to end it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
