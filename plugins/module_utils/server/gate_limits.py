# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of what one key may keep busy on the backup server: sessions, their time, readings.

Each session holds one of a few locks for as long as it lasts, also as the rsync that the gate
becomes: the descriptor is inherited.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator

from ..common.locks import lock_file
from ..common.messages import _
from .server_store import LOCK_SECONDS, Busy, Store

# A sync needs four at once: a listing, two transfers and a commit.
MOST_SESSIONS = 12
# Seconds after which a session is ended, whatever it does; a transfer of days is continued.
MOST_SECONDS = 2 * 86400


@contextlib.contextmanager
def session(store: Store) -> Iterator[None]:
    """Hold one of the sessions of a key's copy; end this process when its time is over.

    Raises:
        Busy: as many as there may be are open.
    """
    # The alarm outlives the change into another program, and its default action ends that.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(MOST_SECONDS)
    folder = os.path.join(store.state_dir, "sessions")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError:  # a full disk must not keep a client from listing its copy
        yield
        return
    with contextlib.ExitStack() as stack:
        for number in range(MOST_SESSIONS):
            path = os.path.join(folder, f"{number}.lock")
            try:
                lock = stack.enter_context(lock_file(path))
            except OSError:
                break
            if lock is not None:
                os.set_inheritable(lock, True)
                break
        else:
            raise Busy(_("%(count)d sessions of this client are open", count=MOST_SESSIONS))
        yield


def receives_alone(store: Store) -> bool:
    """Join the processes that receive files, and return whether no other one does.

    The lock lasts as long as this process, also as the rsync that it becomes. Between an rsync's
    last write and the final name of its file, that file looks like one of a killed rsync.
    """
    path = os.path.join(store.state_dir, "receiving.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # a full disk: the client gets its message later
        return True
    os.set_inheritable(descriptor, True)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        alone = False
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return alone


@contextlib.contextmanager
def one_reading(store: Store) -> Iterator[None]:
    """Let one request at a time read the backups for their digests.

    Raises:
        Busy: another one did not end in time.
    """
    with lock_file(os.path.join(store.state_dir, "reading.lock"), LOCK_SECONDS) as lock:
        if lock is None:
            raise Busy(_("another request is reading the backups"))
        yield
