# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a backup comes from: chosen on this host, or fetched from the offsite server."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from ..backup.backup_choice import ChosenBackup, choose
from ..common.errors import ResilienceError
from ..common.messages import _
from ..offsite import offsite_fetch
from ..offsite.transport import Transport
from ..sealing import keys, opened_backup
from .proof_settings import ProofSettings


@dataclasses.dataclass(frozen=True)
class BackupSource:
    """Which backup is restored.

    Attributes:
        path: this very file or folder; never with `from_offsite`.
        tier, date: the newest of a tier, of a day; of all where both are left out.
        from_offsite: fetch it from the offsite copy.
    """

    path: str | None = None
    tier: str | None = None
    date: str | None = None
    from_offsite: bool = False

    @property
    def newest_of_all(self) -> bool:
        """Whether the newest backup is meant, whichever that is."""
        return not (self.path or self.tier or self.date)

    def local_backup(self, settings: ProofSettings) -> ChosenBackup | None:
        """Return the backup on this host; None if it has to be fetched.

        Raises:
            ResilienceError: there is none, or it is sealed and there is no key that opens it.
        """
        if self.from_offsite:
            return None
        chosen = choose(
            settings.backup_path,
            tiers=settings.tiers,
            pattern=settings.pattern,
            path=self.path,
            tier=self.tier,
            date=self.date,
        )
        opened_backup.require_key(chosen.path, _identity_files(settings, chosen))
        return chosen

    def fetch(self, settings: ProofSettings, folder: str) -> ChosenBackup:
        """Fetch the backup from the offsite copy into a folder.

        Raises:
            ResilienceError: it cannot be fetched.
        """
        return offsite_fetch.fetch(
            offsite_transport(settings),
            folder,
            tiers=settings.tiers,
            pattern=settings.pattern,
            tier=self.tier,
            date=self.date,
        )


def opened(settings: ProofSettings, chosen: ChosenBackup, folder: str) -> ChosenBackup:
    """Return a backup that is not sealed: opened into a folder, or the same one.

    Raises:
        BackupError: it is sealed, and damaged.
        ResilienceError: it is sealed, and cannot be opened here.
    """
    if not opened_backup.is_sealed(chosen.path):
        return chosen
    path = opened_backup.open_backup(
        chosen.path, folder, _identity_files(settings, chosen), time_limit=settings.time_limit
    )
    return dataclasses.replace(chosen, path=path, bytes=os.path.getsize(path))


def _identity_files(settings: ProofSettings, chosen: ChosenBackup) -> tuple[str, ...]:
    if not opened_backup.is_sealed(chosen.path):
        return ()
    return keys.load_for_opening(settings.keys_folder, settings.seal).identity_files


def offsite_transport(settings: ProofSettings) -> Transport:
    """Return what fetches from the offsite copy.

    Raises:
        ResilienceError: this host has no offsite stage, or no such destination.
    """
    if not settings.offsite_config:
        raise ResilienceError(
            _("no offsite copy is configured for this host"),
            option="offsite_config",
            value="",
            remedy=_("set resilience_offsite and run the playbook, or name a backup of this host"),
        )
    return offsite_fetch.transport(
        settings.offsite_config,
        settings.offsite_key_file,
        settings.offsite_destination,
        pattern=settings.pattern,
    )


def description(chosen: ChosenBackup) -> dict[str, Any]:
    """Return the description of the chosen backup, for a result."""
    sealed = {"sealed": dict(chosen.sealed)} if chosen.sealed else {}
    return {
        **sealed,
        "file": os.path.basename(chosen.path),
        "path": chosen.path,
        "bytes": chosen.bytes,
        "mtime_ns": os.stat(chosen.path).st_mtime_ns,
        "tier": chosen.tier,
        "taken_at": chosen.taken_at,
        "age_seconds": round(chosen.age_seconds, 1),
        "set_aside": list(chosen.set_aside),
    }
