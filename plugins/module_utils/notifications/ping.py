# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch of a run."""

from __future__ import annotations

from . import channel


def ping_or_report(address: str, action: str, body: str, problems: list[str]) -> None:
    """Ping a dead man's switch, if there is one.

    Args:
        address: of the switch; empty for none.
        action: `start`, `success` or `fail`.
        body: what the run printed.
        problems: the reason why it did not arrive is added here, as text.
    """
    why = channel.load("delivery").ping(address, action, body) if address else None
    if why:
        problems.append(f"the dead man's switch could not be pinged ({action}): {why}")
