# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of one copy on the backup server, for a Prometheus that no client can write to."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..notifications import metrics
from ..notifications.metric_catalogue import gauge
from ..notifications.metrics import Gauge
from .server_alarms import KINDS, NOT_MOUNTED
from .server_job import JobResult
from .server_settings import ServerSettings
from .server_store import Store


def write_or_report(settings: ServerSettings, store: Store, result: JobResult) -> list[str]:
    """Write the textfile after a run of the daily job; return the problem, if there is one."""
    problems: list[str] = []
    metrics.write_or_report(
        settings.metrics_file,
        lambda: [
            *_alarms(settings, result.alarms),
            *_state(settings, store, result),
        ],
        problems,
    )
    return problems


def write_not_mounted(settings: ServerSettings) -> list[str]:
    """Write the alarm of a copy that is not there; nothing else is known of it."""
    problems: list[str] = []
    metrics.write_or_report(
        settings.metrics_file, lambda: _alarms(settings, [NOT_MOUNTED]), problems
    )
    return problems


def _alarms(settings: ServerSettings, standing: Iterable[str]) -> list[Gauge]:
    kinds = set(standing)
    return [
        gauge("chefwell_offsite_server_last_run_timestamp_seconds", time.time(), _copy(settings)),
        *(
            gauge("chefwell_offsite_server_alarm", kind in kinds, {**_copy(settings), "kind": kind})
            for kind in KINDS
        ),
    ]


def _state(settings: ServerSettings, store: Store, result: JobResult) -> list[Gauge]:
    try:
        last_sync = float(store.load("last")["time"])
    except (KeyError, TypeError, ValueError):
        last_sync = None
    values = {
        "last_sync_timestamp_seconds": last_sync,
        "oldest_reading_timestamp_seconds": result.oldest or None,
        "backups": sum(not store.is_beside(path) for path in store.ledger()),
        "backups_read": result.read,
        "dropped_files": len(result.dropped),
    }
    return [
        gauge(f"chefwell_offsite_server_{name}", value, _copy(settings))
        for name, value in values.items()
    ]


def _copy(settings: ServerSettings) -> dict[str, str]:
    return {"copy": settings.root}
