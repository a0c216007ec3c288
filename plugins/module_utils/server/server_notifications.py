# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifications of the backup server's alarms, by channels that no client can close.

The daily job sends them, and the process that the gate starts when it raises one (`new_alarms`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping

from ..common.language import translations
from ..common.levels import CRITICAL, OK, WARNING
from ..common.locks import single_run
from ..common.messages import translate
from ..history.history import open_history
from ..notifications import notify
from ..notifications.alerts import Condition
from .server_alarms import KINDS, NOT_MOUNTED, WARNINGS, Alarm
from .server_settings import ServerSettings
from .server_store import Store

OWNER = "offsite-server"


def notify_alarms(store: Store) -> list[str]:
    """Notify of alarms that were raised, still stand, or are over.

    Returns:
        The problems met, one sentence each.
    """
    return _notify(store.settings, store.state_dir, store.alarms.all())


def notify_not_mounted(settings: ServerSettings, reason: str) -> list[str]:
    """Notify that the copy's folder is not the one that was set up.

    Nothing is written to that folder: the alert's state stays in the notifications' second place.

    Args:
        settings: the client's configuration.
        reason: why the copy cannot be used.

    Returns:
        The problems met, one sentence each.
    """
    alarm = Alarm(time.strftime("%Y-%m-%dT%H:%M:%S%z"), reason)
    return _notify(settings, "", {NOT_MOUNTED: alarm})


def _notify(settings: ServerSettings, state_dir: str, alarms: Mapping[str, Alarm]) -> list[str]:
    problems: list[str] = []
    catalogue = translations(settings.language)
    conditions = []
    for kind in KINDS if state_dir else alarms:
        level = (WARNING if kind in WARNINGS else CRITICAL) if kind in alarms else OK
        text = translate(catalogue, alarms[kind].reason) if kind in alarms else ""
        conditions.append(Condition(kind, f"{settings.root}: {kind}", level, level, text))
    settings = dataclasses.replace(settings, fallback_dir=state_dir or settings.fallback_dir)
    with contextlib.ExitStack() as stack:
        history = None
        if state_dir:
            if not stack.enter_context(single_run(state_dir, OWNER)):
                return ["another process is sending the notifications"]
            history = stack.enter_context(open_history(state_dir, problems))
        outcome = notify.notify(
            OWNER,
            conditions,
            settings,
            history,
            catalogue,
            now=time.time(),
        )
    return problems + outcome.problems
