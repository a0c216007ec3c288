# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start programs that outlive the process that starts them, find them again, and stop them.

A process number can be used again, so a program is identified by its number and its start time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from .libraries import load_psutil
from .process import cannot_run_error


@dataclasses.dataclass(frozen=True)
class DetachedProcess:
    """One program: its process number, and its start time in clock ticks since boot."""

    pid: int
    start_ticks: str


def start(
    arguments: Sequence[str], *, log_path: str, env: Mapping[str, str] | None = None
) -> DetachedProcess:
    """Start a program in a session of its own; its output goes to a log.

    Args:
        arguments: the program and its arguments.
        log_path: the log, appended to.
        env: its environment; that of this process when left out.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    with open(log_path, "ab") as log:
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise cannot_run_error(arguments[0], error) from error
    # `is_running` and `stop` go by number and start time, so this object need not wait for it.
    process.returncode = 0
    return DetachedProcess(process.pid, start_ticks(process.pid) or "")


def start_ticks(pid: int) -> str | None:
    """Return when a process started, in clock ticks (proc(5), field 22 of stat); None without one.

    A zombie counts as none: it has ended, and only its number is still in use.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def is_running(running: DetachedProcess) -> bool:
    """Return whether this very program still runs."""
    return start_ticks(running.pid) == running.start_ticks


def stop(running: DetachedProcess, signals: Sequence[int], seconds: float = 10) -> None:
    """Stop a program and its session's other processes: each signal in turn, finally SIGKILL.

    Args:
        running: the program.
        signals: to try first, in order.
        seconds: to wait after each.
    """
    for number in [*signals, signal.SIGKILL]:
        if not is_running(running):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        deadline = time.monotonic() + seconds
        while is_running(running) and time.monotonic() < deadline:
            time.sleep(0.02)
    # What it started in its session has no other parent to stop it. It is waited for, because a
    # folder that is removed next must have no writer.
    left = _group(running.pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(running.pid, signal.SIGKILL)
    deadline = time.monotonic() + seconds
    while any(is_running(one) for one in left) and time.monotonic() < deadline:
        time.sleep(0.02)


def _group(number: int) -> list[DetachedProcess]:
    """Return the processes of a process group."""
    found = []
    for pid in load_psutil().pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            ticks = start_ticks(pid) if os.getpgid(pid) == number else None
            if ticks:
                found.append(DetachedProcess(pid, ticks))
    return found
