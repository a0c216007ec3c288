# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that watches a transfer to the backup server, while the gate has become its rsync.

It ends the rsync when the disk is full up to its reserve (the limit of one file is none for many,
and several may arrive at once) or when folders are nested deeper than a backup tree needs.
Afterwards it moves what is in the way to the quarantine. It begins before the kernel keeps the gate
in `incoming` (`landlock`): that would keep every later process of the gate there too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal

from ..common.errors import ResilienceError, explanation
from .incoming import clear_obstructions
from .new_alarms import notifying_new_alarms
from .packed_files import FULL
from .server_store import Store

# Seconds between two looks at the room that is left, and for the rsync to end by itself.
LOOK_SECONDS, END_SECONDS = 0.1, 5.0
# Its processes are copies of this one, and end without this one's clean-up.
_FORKING = multiprocessing.get_context("fork")


def start(store: Store, config_file: str) -> None:
    """Watch over this process, and the program that it becomes.

    Call it while this process has one thread, and no rights were taken from it.

    Args:
        store: the copy that it will write to.
        config_file: the file that holds the client's configuration.

    Raises:
        ResilienceError: it cannot be watched; nothing may be received then.
    """
    try:
        # Of the process, not its number, which may be another one's by the time.
        watched = os.pidfd_open(os.getpid())
        try:
            # Not a program of its own, whose start the client would wait for.
            _FORKING.Process(target=_work, args=(store, config_file, watched)).start()
        finally:
            os.close(watched)
    except OSError as error:
        raise ResilienceError(
            f"the transfer cannot be watched: {os.strerror(error.errno or 0)}",
            remedy="see the server's load",
        ) from error


def _work(store: Store, config_file: str, watched: int) -> None:
    """Watch over the parent process until it ends, and clear up behind it."""
    try:
        _let_go(watched)
        _watch(store, watched)
        with notifying_new_alarms(store, config_file):
            clear_obstructions(store)
    except Exception as error:
        # Nobody waits for its exit code: the gate is the rsync by now.
        _report(explanation(error))


def _let_go(watched: int) -> None:
    """Close what the gate has open: its locks, the input and the output of its rsync."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number != watched:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(number)
    os.chdir("/")


def _report(problem: str) -> None:
    with contextlib.suppress(OSError):  # the client may be gone
        os.write(2, f"chefwell gate: {problem}\n".encode())


def _is_nested(store: Store) -> bool:
    """Return whether `incoming` or a tier in it holds more folders than a sync makes.

    The number of links of a folder counts the folders in it; where a filesystem does not count
    them (btrfs), they are moved away when the rsync has ended.
    """
    try:
        if os.lstat(store.incoming).st_nlink > 2 + len(store.tiers):
            return True
        for tier in store.tiers:
            with contextlib.suppress(FileNotFoundError):
                if os.lstat(os.path.join(store.incoming, tier)).st_nlink > 3:
                    return True
    except OSError:
        return True
    return False


def _watch(store: Store, watched: int) -> None:
    """Watch over a process until it ends; end it where it must not go on.

    Args:
        store: the copy that it writes to.
        watched: a descriptor of the process (pidfd_open(2)).
    """
    while not select.select([watched], [], [], LOOK_SECONDS)[0]:
        problem = ""
        if store.room() == 0:
            problem = f"No space left on device: {FULL}"
        elif _is_nested(store):
            problem = "refused: folders are nested deeper than a backup tree needs"
        if problem:
            _report(problem)  # a client that cannot read it is ended, too
            signal.pidfd_send_signal(watched, signal.SIGTERM)
            select.select([watched], [], [], END_SECONDS)
            return
