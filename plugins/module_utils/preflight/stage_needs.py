# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage needs of its host, from the stage's configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..disk.disk_settings import DiskSettings
from ..notifications.notification_settings import StageSettings
from ..offsite.offsite_config import DestinationSettings, OffsiteSettings
from ..offsite.ssh import RESTRICTED
from ..proof.restore_settings import AUTO, RestoreSettings

# Used only where it is there.
DEFAULT_BUILD = "../backend"


def needs_of(
    settings: StageSettings,
    *,
    scheduled: bool = False,
    destinations: Sequence[DestinationSettings] = (),
) -> list[dict[str, Any]]:
    """Return what a stage needs, each as plain values: its `kind` and what it names.

    Args:
        settings: of the stage.
        scheduled: whether its role writes crontab entries.
        destinations: for the settings of a drill, those of stage 2 where they are known.
    """
    found = [_library("apprise")] if settings.notify else []
    found += [_library("prometheus_client")] if settings.metrics_file else []
    found += [_program("crontab")] if scheduled else []
    if isinstance(settings, DiskSettings):
        found += [_library("psutil"), *_backups(settings.backup_path)]
    elif isinstance(settings, OffsiteSettings):
        found += _offsite(settings)
    elif isinstance(settings, RestoreSettings):
        found += _staging(settings, destinations)
    return found


def _library(name: str) -> dict[str, Any]:
    return {"kind": "library", "name": name}


def _program(name: str) -> dict[str, Any]:
    return {"kind": "program", "name": name}


def _backups(path: str) -> list[dict[str, Any]]:
    return [{"kind": "folder", "option": "resilience_backup_path", "path": path}] if path else []


def _offsite(settings: OffsiteSettings) -> list[dict[str, Any]]:
    found, transports = _backups(settings.backup_path), set()
    for number, destination in enumerate(settings.destinations):
        transports.add(destination.transport)
        if destination.transport == "rsync" and destination.host:
            found.append(
                {
                    "kind": "reach",
                    "option": f"resilience_offsite[{number}].host",
                    "host": destination.host,
                    "port": destination.port,
                    "seconds": float(destination.connect_seconds),
                }
            )
    if "rsync" in transports:
        found += [_program(name) for name in ("rsync", "ssh", "ssh-keygen")]
    return found + ([_program("rclone")] if "rclone" in transports else [])


def _staging(
    settings: RestoreSettings, destinations: Sequence[DestinationSettings]
) -> list[dict[str, Any]]:
    found = [_library("psycopg2")]
    if settings.seal.at_rest:
        found.append(_program("ssh-keygen"))  # the key that signs is made with the one that opens
    if settings.runbook:
        found.append(_library("jinja2"))
    if settings.source != "offsite":
        found += _backups(settings.backup_path)
    elif not settings.offsite_key_file and _only_writes(settings, destinations):
        found.append(
            {
                "kind": "wrong",
                "text": "backups are to be fetched from offsite, and the key of stage 2 may only"
                " write there [staging_restore_source='offsite'] - name the file of a key that may"
                " read in staging_restore_offsite_key_file; the role makes and authorizes it",
            }
        )
    compose = [_library("docker"), _program("docker program"), *_build(settings)]
    embedded = [
        _library("psutil"),
        *([_program("bwrap")] if settings.sandbox else []),
        {"kind": "postgres", "bin_dir": settings.bin_dir},
    ]
    if settings.engine == AUTO:
        found += [{**one, "docker": True} for one in compose]
        found += [{**one, "docker": False} for one in embedded]
    elif settings.engine == "compose":
        found += compose
    else:
        found += embedded if settings.engine == "embedded" else [_library("psutil")]
    return found


def _build(settings: RestoreSettings) -> list[dict[str, Any]]:
    """Return the need of the folder that the application is built from, unless the default."""
    named = settings.backend_build
    elsewhere = "://" in named or named.startswith("git@")
    if settings.backend_image or named in ("", DEFAULT_BUILD) or elsewhere:
        return []
    path = os.path.normpath(os.path.join(settings.dir, named))
    return [{"kind": "build", "option": "staging_restore_backend_build", "path": path}]


def _only_writes(settings: RestoreSettings, destinations: Sequence[DestinationSettings]) -> bool:
    """Return whether the destination that is read from has a gate, as far as it is known."""
    name = settings.offsite_destination
    for destination in destinations:
        if not name or destination.name == name:
            return destination.transport == "rsync" and destination.mode == RESTRICTED
    return False
