# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What started this process: cron sends a mail with whatever its jobs print."""

from __future__ import annotations

import os

# The daemons of Debian's cron, systemd-cron, cronie, anacron and fcron, as proc(5) names them.
CRON = ("cron", "crond", "anacron", "fcron")


def cron() -> bool:
    """Return whether cron is among the ancestors of this process; False where that is unknown."""
    pid = os.getppid()
    while pid > 1:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                before, _end, after = file.read().rpartition(")")
            name, pid = before.partition("(")[2], int(after.split()[1])
        except (OSError, IndexError, ValueError):
            return False
        if name.lower() in CRON:
            return True
    return False
