# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage's configuration says of whom to tell; apart, for the gate reads it at each call."""

from __future__ import annotations

from ..common.config import Key

# tmpfs on every Linux; gone after a restart, like the full disk's excuse.
FALLBACK = "/run/chefwell-resilience"
KEYS = {
    "notify_urls": Key(list, []),
    "notify_time_limit": Key((int, float), 60),
    "remind_hours": Key((int, float), 24),
    "ping_url": Key(str, ""),
    "host_name": Key(str, ""),
    "fallback_dir": Key(str, FALLBACK),
}
