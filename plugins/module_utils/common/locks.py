# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between processes, by flock(2): the kernel frees them when their holder ends, however."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

# Seconds between two attempts to take a lock that another process holds.
POLL = 0.05


@contextlib.contextmanager
def lock_file(path: str, wait: float = 0) -> Iterator[int | None]:
    """Hold a lock on a file, which is made when it is missing.

    A program that inherits the descriptor keeps the lock until it ends, too.

    Args:
        path: the file; its folder exists.
        wait: seconds to wait while another process holds it.

    Yields:
        The lock's descriptor; None where another process still holds it.

    Raises:
        OSError: the file cannot be made or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor if _taken(descriptor, wait) else None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_folder(path: str, wait: float = 0) -> Iterator[int | None]:
    """Hold a lock on a folder itself, which works where no file can be made; see `lock_file`."""
    descriptor = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor if _taken(descriptor, wait) else None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def single_run(folder: str, name: str, wait: float = 30) -> Iterator[bool]:
    """Let one run of a command in at a time.

    Args:
        folder: the state's folder.
        name: of what runs.
        wait: seconds to wait for the other run.

    Yields:
        Whether this run was let in.
    """
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            lock = stack.enter_context(lock_file(os.path.join(folder, f"{name}.lock"), wait))
        except OSError:
            try:
                # No file can be made (full, read-only), so the folder above is locked: not this
                # one, which is locked by whoever opens the history.
                lock = stack.enter_context(lock_folder(os.path.dirname(folder), wait))
            except OSError:
                lock = -1  # there is nothing that two runs could share
        yield lock is not None


def _taken(descriptor: int, wait: float) -> bool:
    end = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(POLL)
        else:
            return True
