# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes, by flock(2): the kernel frees a lock when its holder ends in any way."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from . import run_steps

# Seconds between two attempts to take a lock that another process holds.
POLL_SECONDS = 0.05


@contextlib.contextmanager
def lock_file(path: str, wait: float = 0) -> Iterator[int | None]:
    """Hold a lock on a file; create the file if it is missing.

    A child process that inherits the descriptor also keeps the lock, until it ends.

    Args:
        path: the file; its folder exists.
        wait: seconds to wait while another process holds it.

    Yields:
        The lock's descriptor; None if another process still holds the lock.

    Raises:
        OSError: the file cannot be created or locked.
    """
    with run_steps.step("state_dir"):  # where the locks of supervised runs are
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor if _acquire(descriptor, wait) else None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_folder(path: str, wait: float = 0) -> Iterator[int | None]:
    """Hold a lock on a folder itself, for where no file can be created; see `lock_file`."""
    descriptor = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor if _acquire(descriptor, wait) else None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def single_run(folder: str, name: str, wait: float = 30) -> Iterator[bool]:
    """Allow only one run of a command at a time.

    Args:
        folder: the state folder.
        name: name of the command.
        wait: seconds to wait for another run to end.

    Yields:
        Whether this run may go on; False while another one runs.
    """
    with contextlib.ExitStack() as stack:
        lock = _run_lock(folder, name, wait, stack)
        if lock is not None and lock >= 0:
            run_steps.share_lock(lock)
        yield lock is not None


def _run_lock(folder: str, name: str, wait: float, stack: contextlib.ExitStack) -> int | None:
    """Return the descriptor that holds the lock of a run until the stack is left; None where
    another run holds it, -1 where there is nothing to lock."""
    try:
        with run_steps.step("state_dir"):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        return stack.enter_context(lock_file(os.path.join(folder, f"{name}.lock"), wait))
    except OSError:
        try:
            # No file can be created (full, read-only), so the parent folder is locked instead:
            # the state folder itself is locked by each process that opens the history.
            return stack.enter_context(lock_folder(os.path.dirname(folder), wait))
        except OSError:
            return -1  # without the folder there is no state that two runs could share


def _acquire(descriptor: int, wait: float) -> bool:
    """Take the lock of a descriptor; return whether that succeeded within the wait, in seconds."""
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True
