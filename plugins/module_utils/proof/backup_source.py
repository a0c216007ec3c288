# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup comes from: chosen on this host, or fetched from the offsite server."""

from __future__ import annotations

import os
from typing import Any

from ..backup.backup_choice import ChosenBackup
from ..offsite import offsite_fetch, ssh
from .proof_settings import ProofSettings


def offsite_of(settings: ProofSettings) -> ssh.Destination:
    """Return the offsite server.

    Raises:
        ResilienceError: this host has no offsite stage.
    """
    return offsite_fetch.destination(settings.offsite_config, settings.offsite_key_file)


def fetch(settings: ProofSettings, folder: str, tier: str | None, date: str | None) -> ChosenBackup:
    """Fetch a backup from the offsite server into a folder.

    Raises:
        ResilienceError: it cannot be fetched.
    """
    return offsite_fetch.fetch(
        offsite_of(settings),
        folder,
        tiers=settings.tiers,
        pattern=settings.pattern,
        tier=tier,
        date=date,
    )


def description(chosen: ChosenBackup) -> dict[str, Any]:
    """Return the description of the chosen backup, for a result."""
    return {
        "file": os.path.basename(chosen.path),
        "path": chosen.path,
        "bytes": chosen.bytes,
        "mtime_ns": os.stat(chosen.path).st_mtime_ns,
        "tier": chosen.tier,
        "taken_at": chosen.taken_at,
        "age_seconds": round(chosen.age_seconds, 1),
        "set_aside": list(chosen.set_aside),
    }
