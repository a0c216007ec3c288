# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a drill or a recovery, and its verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..inventory import backup_names, inventory
from ..sealing.seal_settings import SealSettings
from ..staging import staging
from ..validation import previous_counts
from ..validation.api_probe import STEPS
from ..validation.check_context import ValidationSettings

PASSED, FAILED, COULD_NOT_VERIFY = "passed", "failed", "could_not_verify"

# Called with the name of a phase when it begins, and with what it does now.
Progress = Callable[[str, str], None]


@dataclasses.dataclass(frozen=True)
class ProofSettings:
    """Settings of a drill or a recovery.

    Attributes:
        staging: where a drill restores.
        state_dir: folder of the results.
        backup_path, tiers, pattern: the backup tree.
        validation: what is checked beyond the backup's own contents.
        api_users: who logs in: `email`, `password` and `schema` each.
        api_steps: the requests of each.
        api_time_limit: seconds for one response.
        featured_schema: the tenant that reports show table by table.
        table_order: names of tables that reports show first, in this order.
        production_dsn: keyword arguments for `psycopg2.connect`, of a user of production who may
            read everything; empty for no comparison.
        roles: made in staging before the restore, for policies that name them.
        jobs: how many to restore in parallel; 0 chooses.
        time_limit: seconds for each of unpacking, decoding and restoring.
        rto_seconds, rpo_seconds: the objectives.
        fall: how far a table may fall since the last drill before it is reported.
        offsite_config: the offsite stage's configuration, for a backup that is fetched from there.
        offsite_key_file: a key that may read there; the stage's own when empty.
        offsite_destination: the destination to fetch from; the first when empty.
        keys_folder, seal: what opens a backup that lies sealed.
    """

    staging: staging.StagingSettings
    state_dir: str
    backup_path: str
    tiers: tuple[str, ...] = inventory.TIERS
    pattern: str = backup_names.PATTERN
    validation: ValidationSettings = dataclasses.field(default_factory=ValidationSettings)
    api_users: Sequence[Mapping[str, str]] = ()
    api_steps: Sequence[Mapping[str, Any]] = STEPS
    api_time_limit: float = 10
    featured_schema: str = ""
    table_order: Sequence[str] = ()
    production_dsn: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    roles: Sequence[str] = ()
    jobs: int = 0
    time_limit: float = 3600
    rto_seconds: float = 600
    rpo_seconds: float = 86400
    fall: previous_counts.FallLimits = previous_counts.FallLimits()
    offsite_config: str = ""
    offsite_key_file: str = ""
    offsite_destination: str = ""
    keys_folder: str = ""
    seal: SealSettings = SealSettings()
