# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An alarm that the gate raises is notified at once, by a process of its own.

What sends notifications is not loaded here: a client waits for the gate.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..common import detached, engine_program
from ..common.errors import ResilienceError
from .server_settings import ServerSettings
from .server_store import STATE_FOLDER, Store

LOG_FILE = "server.log"


@contextlib.contextmanager
def notifying_new_alarms(store: Store, config_file: str) -> Iterator[None]:
    """Start a process that notifies if an alarm is raised within the block.

    Args:
        store: whose alarms.
        config_file: the file that holds the client's configuration.
    """
    before = store.alarms.all().keys()
    try:
        yield
    finally:
        if store.alarms.all().keys() - before:
            notify_in_background(store.settings, config_file)


def notify_in_background(settings: ServerSettings, config_file: str) -> None:
    """Start a process that notifies, so that the one that raised an alarm need not wait.

    Args:
        settings: the client's configuration.
        config_file: the file that holds it.
    """
    if not settings.notify:
        return
    package = (__package__ or "").rpartition(".")[0]
    command = [*engine_program.command(f"{package}.host_cli"), "keep-offsite-copy"]
    log = os.path.join(settings.root, STATE_FOLDER, LOG_FILE)
    # Where no process can be started, the daily job notifies.
    with contextlib.suppress(ResilienceError, OSError):
        detached.start(
            [*command, "--config", config_file, "--notify"],
            log_path=log if os.path.isdir(os.path.dirname(log)) else os.devnull,
            env=engine_program.environment({"PATH": "/usr/local/bin:/usr/bin:/bin"}),
        )
