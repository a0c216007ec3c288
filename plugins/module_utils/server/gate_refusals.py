# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate does about a request that it refuses, and about a copy that is not there."""

from __future__ import annotations

import contextlib
import os
import time

from ..common.messages import _
from ..inventory.inventory import readable
from .gate_session import GateSession
from .new_alarms import notify_in_background, notifying_new_alarms
from .server_alarms import REFUSED
from .server_settings import ServerSettings


def record(session: GateSession, request: str, reason: str) -> None:
    """Log a refused request: a key that requests more than it may is perhaps a stolen one."""
    line = _(
        "%(time)s, from %(address)s: %(why)s: %(request)s",
        time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        address=os.environ.get("SSH_CONNECTION", "?").split(" ")[0],
        why=reason,
        request=readable(request)[:300],
    )
    path = os.path.join(session.store.state_dir, "refused.log")
    with notifying_new_alarms(session.store, session.config_file):
        session.store.alarms.set(REFUSED, line)
        # A full disk must not keep the alarm from being notified.
        with contextlib.suppress(OSError):
            if os.path.exists(path) and os.path.getsize(path) > 1 << 20:
                os.replace(path, f"{path}.1")
            with open(path, "a", encoding="utf-8") as log:
                log.write(line + "\n")


def report_wrong_copy(settings: ServerSettings, config_file: str) -> None:
    """Notify that the folder of the copy is not the one that was set up."""
    notify_in_background(settings, config_file)
