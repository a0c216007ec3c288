# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that watches a transfer to the backup server, while the gate has become its rsync.

It ends the rsync when the disk is full up to its reserve (the limit of one file is none for many,
and several may arrive at once) or when folders are nested deeper than a backup tree needs.
Afterwards it moves what is in the way to the quarantine. It is a program of its own because the
kernel keeps the rsync in `incoming` (`landlock`), and would keep a child process of it there too.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess

from ..common import engine_program, settings
from ..common.errors import ResilienceError
from ..common.process import cannot_run_error
from .incoming import clear_obstructions
from .packed_files import FULL
from .server_notifications import notifying_new_alarms
from .server_settings import ServerSettings
from .server_store import Store

# Seconds between two looks at the room that is left, and for the rsync to end by itself.
LOOK_SECONDS, END_SECONDS = 0.1, 5.0
# Seconds for the program to start: nothing is received before.
START_SECONDS = 30.0
READY = b"ready"


def start(config_file: str) -> None:
    """Watch over this process, and the program that it becomes; return once that is so.

    Args:
        config_file: the file that holds the client's configuration.

    Raises:
        ResilienceError: it cannot be watched; nothing may be received then.
    """
    watched = os.pidfd_open(os.getpid())
    try:
        program = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            [
                *engine_program.command(__name__),
                *("--config", config_file, "--process", str(watched)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=engine_program.environment(),
            cwd=engine_program.FOLDER,
            pass_fds=[watched],
        )
    except OSError as error:
        raise cannot_run_error(engine_program.command(__name__)[0], error) from error
    finally:
        os.close(watched)
    output = program.stdout.fileno() if program.stdout else -1
    if not select.select([output], [], [], START_SECONDS)[0] or os.read(output, 64) != READY:
        program.kill()
        raise ResilienceError("the transfer cannot be watched", remedy="see the server's load")


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
            # A client that cannot read it is ended, too.
            with contextlib.suppress(OSError):
                os.write(2, f"chefwell gate: {problem}\n".encode())
            signal.pidfd_send_signal(watched, signal.SIGTERM)
            select.select([watched], [], [], END_SECONDS)
            return


def main() -> None:
    """Watch the process whose descriptor was inherited, then clear up behind it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--process", required=True, type=int)
    given = parser.parse_args()
    store = Store(settings.load(given.config, ServerSettings))
    os.write(1, READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _watch(store, given.process)
    with notifying_new_alarms(store, given.config):
        clear_obstructions(store)


if __name__ == "__main__":
    main()
