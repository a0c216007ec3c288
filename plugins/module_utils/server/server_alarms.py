# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server tells people of its own alarms: by its own ways, which no client can close.

The daily job does, and the gate has it done at once when an alarm is raised.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time

from ..common import detached
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import CRITICAL, OK
from ..common.locks import single_run
from ..common.messages import translate
from ..history.history import open_history
from ..notifications import notify
from ..notifications.alerts import Condition
from .server_store import ALARMS, Store

STAGE = "keeper"


def tell(store: Store) -> list[str]:
    """Tells people which alarms were raised, still stand, or are over.

    Returns:
        In words what went wrong with that.
    """
    settings = dataclasses.replace(store.settings, fallback_dir=store.own)
    problems: list[str] = []
    alarms = store.alarms()
    conditions = []
    speak = translations(settings.language)
    for kind in ALARMS:
        level = CRITICAL if kind in alarms else OK
        said = translate(speak, alarms[kind]["saw"]) if kind in alarms else ""
        conditions.append(Condition(kind, f"{store.root}: {kind}", level, level, said))
    with single_run(store.own, STAGE) as alone:
        if not alone:
            return ["another run is telling people already"]
        with open_history(store.own, problems) as history:
            outcome = notify.notify(
                STAGE,
                conditions,
                settings,
                history,
                speak,
                now=time.time(),
            )
    return problems + outcome.problems


def tell_soon(store: Store, config_file: str) -> None:
    """Has it done by a process of its own, so that whoever raised the alarm waits for nothing.

    Args:
        store: the copy.
        config_file: this client's configuration.
    """
    if not store.settings.notify:
        return
    package = (__package__ or "").rpartition(".")[0]
    command = [sys.executable, "-s", "-m", f"{package}.host_cli", "keep-offsite-copy"]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    try:
        detached.start(
            [*command, "--config", config_file, "--tell"],
            log_path=os.path.join(store.own, "keeper.log"),
            env=environment,
        )
    except (ResilienceError, OSError):
        return  # the daily job tells it then
