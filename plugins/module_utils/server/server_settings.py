# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of one copy on the backup server."""

from __future__ import annotations

import dataclasses

from ..common.language import LANGUAGES
from ..common.settings import LARGEST, option
from ..notifications.notification_settings import NotificationSettings


@dataclasses.dataclass(frozen=True)
class ServerSettings(NotificationSettings):
    """What the gate and the server's daily job keep to.

    Attributes:
        root: folder of the copy.
        identity: that the set-up wrote to the folder; empty where none was written.
        backup_tiers, backup_pattern: of the client's backup tree.
        keep_days: how long previous versions are kept.
        change_percent, least_bytes, most_rewritten: limits of the client's guards.
        reserve_percent: share of the disk that stays free.
        reread_days: each backup is read again at least this often.
        silent_hours: without a sync for that long, an alarm is raised.
        language: of messages.
        metrics_file: Prometheus textfile of the daily job, ending in `.prom`; empty for none.
    """

    root: str = option(required=True)
    identity: str = ""
    backup_tiers: tuple[str, ...] = ()
    backup_pattern: str = ""
    keep_days: float = 90
    change_percent: float = 40
    least_bytes: int = option(100, maximum=LARGEST)
    most_rewritten: int = option(1, maximum=LARGEST)
    reserve_percent: float = 5
    reread_days: float = 30
    silent_hours: float = 50
    language: str = option("pt_BR", choices=LANGUAGES)
    metrics_file: str = ""
