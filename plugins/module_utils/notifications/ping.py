# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch of a run."""

from __future__ import annotations

from ..common import run_steps
from ..common.messages import _
from . import channel

# Seconds for all tries of one ping.
TIME_LIMIT = 20.0


def ping_or_report(address: str, action: str, body: str, problems: list[str]) -> None:
    """Ping a dead man's switch, if there is one.

    Args:
        address: of the switch; empty for none.
        action: `start`, `success` or `fail`.
        body: what the run printed.
        problems: the reason why it did not arrive is added here, as text.
    """
    if not address:
        return
    why = run_steps.why_blocked("ping_url")
    if not why:
        with run_steps.step("ping_url", TIME_LIMIT):
            why = channel.load("delivery").ping(address, action, body, time_limit=TIME_LIMIT)
    if why:
        problems.append(
            _(
                "the dead man's switch could not be pinged (%(action)s): %(why)s",
                action=action,
                why=why,
            )
        )
