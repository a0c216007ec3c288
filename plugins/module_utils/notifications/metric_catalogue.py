# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every metric: name, meaning and labels, by Prometheus's conventions.

Names end in their unit, which is a base unit: seconds, bytes, a ratio from 0 to 1.
`docs/metrics.md` is made of this table, and a metric that is not in it cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .metrics import Gauge


class Metric(NamedTuple):
    """One metric.

    Attributes:
        help: its meaning, one sentence.
        labels: names of its labels.
        absent: when it is left out; empty where it is always written.
    """

    help: str
    labels: tuple[str, ...] = ()
    absent: str = ""


_TARGET = ("target", "kind", "path")
_UNKNOWN = "it is not known"
_NO_TREE = "there is no backup folder"
_NO_HISTORY = "the history is too short"
_NOT_RUN = "the drill did not get there"

DISK = {
    "chefwell_disk_last_run_timestamp_seconds": Metric("When the monitor last ran."),
    "chefwell_disk_level": Metric(
        "Level of a target: 0 ok, 1 unknown, 2 warning, 3 critical, 4 emergency.", _TARGET
    ),
    "chefwell_disk_used_bytes": Metric("Bytes used.", _TARGET, _UNKNOWN),
    "chefwell_disk_available_bytes": Metric("Bytes left for users.", _TARGET, _UNKNOWN),
    "chefwell_disk_size_bytes": Metric("Size of the filesystem.", _TARGET, _UNKNOWN),
    "chefwell_disk_used_ratio": Metric("Share used, as df counts it.", _TARGET, _UNKNOWN),
    "chefwell_disk_inodes_used_ratio": Metric(
        "Share of inodes used.", _TARGET, "the filesystem has no inodes to count"
    ),
    "chefwell_disk_time_to_full_seconds": Metric(
        "Seconds until it is full, by the forecast.", _TARGET, "it does not fill up"
    ),
    "chefwell_backups": Metric("Backups in a tier.", ("tier",), _NO_TREE),
    "chefwell_backups_size_bytes": Metric("Sum of their sizes.", ("tier",), _NO_TREE),
    "chefwell_backups_disk_bytes": Metric("What they take up on the disk.", ("tier",), _NO_TREE),
    "chefwell_backups_growth_bytes_per_second": Metric(
        "By how much that grows.", ("tier",), _NO_HISTORY
    ),
    "chefwell_disk_next_dump_bytes": Metric("Expected size of the next backup.", (), _NO_HISTORY),
    "chefwell_disk_dump_fits": Metric("1 if the next backup fits, 0 if not.", (), _UNKNOWN),
    "chefwell_disk_drill_fits": Metric("1 if a restore drill fits, 0 if not.", (), _UNKNOWN),
    "chefwell_disk_retention_nights": Metric(
        "Nights for which the retention plan fits.", (), _UNKNOWN
    ),
}
OFFSITE = {
    "chefwell_offsite_last_run_timestamp_seconds": Metric("When a sync last ran."),
    "chefwell_offsite_success": Metric(
        "1 if the last sync was completed, 0 if not.", ("destination",)
    ),
    "chefwell_offsite_last_success_timestamp_seconds": Metric(
        "When a sync was last completed.", ("destination",), "none ever was"
    ),
    "chefwell_offsite_files_sent": Metric("Backups sent by the last sync.", ("destination",)),
    "chefwell_offsite_sent_bytes": Metric("Bytes on the wire for them.", ("destination",)),
    "chefwell_offsite_duration_seconds": Metric("Duration of the last sync.", ("destination",)),
    "chefwell_offsite_server_alarms": Metric(
        "Alarms of the backup server's own job.", ("destination",)
    ),
}
_NOT_SEEN = "the copy's folder is not there"
_COPY = ("copy",)
VERIFICATION = {
    "chefwell_offsite_verification_last_run_timestamp_seconds": Metric(
        "When a verification last ran."
    ),
    "chefwell_offsite_verification_passed": Metric(
        "1 if both sides are the same by content, 0 if they differ.",
        ("destination",),
        "that could not be verified",
    ),
    "chefwell_offsite_verification_backups": Metric(
        "Backups that differ, by how: missing, extra, different; unknown are folders and files "
        "that could not be read.",
        ("destination", "result"),
    ),
}
SERVER = {
    "chefwell_offsite_server_last_run_timestamp_seconds": Metric(
        "When the server's daily job last ran.", _COPY
    ),
    "chefwell_offsite_server_alarm": Metric("1 if an alarm stands, 0 if not.", (*_COPY, "kind")),
    "chefwell_offsite_server_last_sync_timestamp_seconds": Metric(
        "When the client's last inventory was applied.", _COPY, "none ever was"
    ),
    "chefwell_offsite_server_backups": Metric("Backups of the copy.", _COPY, _NOT_SEEN),
    "chefwell_offsite_server_oldest_reading_timestamp_seconds": Metric(
        "Since when every backup was read again.", _COPY, "there is one that never was"
    ),
    "chefwell_offsite_server_backups_read": Metric(
        "Backups that the last job read again.", _COPY, _NOT_SEEN
    ),
    "chefwell_offsite_server_dropped_files": Metric(
        "Previous versions that the last job deleted.", _COPY, _NOT_SEEN
    ),
}
DRILL = {
    "chefwell_restore_drill_last_run_timestamp_seconds": Metric("When the last drill ended."),
    "chefwell_restore_drill_last_success_timestamp_seconds": Metric(
        "When a drill last proved a backup.", (), "none ever did"
    ),
    "chefwell_restore_drill_passed": Metric(
        "1 if the backup was proved to restore, 0 if it was proved not to.",
        (),
        "that could not be verified",
    ),
    "chefwell_restore_drill_rto_seconds": Metric(
        "From the start of the drill to a validated, serving system.", (), _NOT_RUN
    ),
    "chefwell_restore_drill_rpo_seconds": Metric(
        "Age of the newest backup that was proved to restore.", (), _NOT_RUN
    ),
    "chefwell_restore_drill_restore_duration_seconds": Metric(
        "Duration of the restore.", (), _NOT_RUN
    ),
    "chefwell_restore_drill_duration_seconds": Metric("Duration of the whole drill."),
    "chefwell_restore_drill_confidence_ratio": Metric(
        "Share of the checks that passed.", (), "there is no verdict on the backup"
    ),
    "chefwell_restore_drill_backup_bytes": Metric("Size of the backup.", (), _NOT_RUN),
    "chefwell_restore_drill_checks": Metric(
        "Checks by result: passed, failed, skipped.", ("result",)
    ),
    "chefwell_restore_drill_phase_duration_seconds": Metric("Duration of a phase.", ("phase",)),
}
# By the stage that writes them, each to a textfile of its own.
METRICS = {
    "disk_monitor": DISK,
    "offsite_backup": OFFSITE,
    "verification": VERIFICATION,
    "backup_server": SERVER,
    "staging_restore": DRILL,
}
BY_NAME = {name: metric for group in METRICS.values() for name, metric in group.items()}


def gauge(
    name: str, value: float | None, labels: Mapping[str, str] = MappingProxyType({})
) -> Gauge:
    """Return one value of a metric of the table."""
    return Gauge(name, BY_NAME[name].help, value, labels)
