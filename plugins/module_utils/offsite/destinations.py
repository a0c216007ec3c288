# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The destinations of the copies, each with the transport that its settings name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

from . import offsite_guards
from .early_listing import Started
from .offsite_config import (
    DEFAULT,
    DestinationSettings,
    OffsiteSettings,
    by_name,
    marker,
    named,
    schedule,
    ssh_destination,
)
from .offsite_settings import SyncSettings
from .ssh import RESTRICTED
from .transport import Transport


def syncs(
    settings: OffsiteSettings, chosen: Sequence[str] = (), started: Started | None = None
) -> list[SyncSettings]:
    """Return the settings of the sync to each destination.

    Args:
        settings: of the stage.
        chosen: names of the destinations; all when empty.
        started: commands that run on the first one's server already.

    Raises:
        ResilienceError: there is no destination, two have one name, a setting of one is wrong, or a
            chosen one does not exist.
    """
    for name in chosen:
        named(settings, name)
    meant = [name for name in by_name(settings) if not chosen or name in chosen]
    return [
        SyncSettings(
            transport=transport(
                settings, named(settings, name), started=started if name == meant[0] else None
            ),
            tiers=settings.tiers,
            pattern=settings.backup_pattern,
            limits=offsite_guards.Limits(
                least_backups=settings.least_backups,
                change_percent=settings.change_percent,
                least_bytes=settings.least_bytes,
                shrink_percent=settings.shrink_percent,
                rpo_hours=settings.rpo_hours,
                most_rewritten=settings.most_rewritten,
            ),
            name="" if name == DEFAULT else name,
            unfinished_seconds=60 * settings.wait_minutes,
            schedule=schedule(settings),
            backup_path=settings.tree_root,
            state_dir=settings.state_dir,
            marker=marker(settings),
            reread_days=settings.reread_days,
            tries=named(settings, name).tries,
            retry_seconds=named(settings, name).retry_seconds,
            durable=named(settings, name).durable,
            sealed=settings.seal.is_on,
        )
        for name in meant
    ]


def transport(
    settings: OffsiteSettings,
    destination: DestinationSettings,
    *,
    fetches: bool = False,
    started: Started | None = None,
) -> Transport:
    """Return what carries copies to a destination.

    Args:
        settings: of the stage.
        destination: one of its destinations.
        fetches: whether it only fetches; then no key is needed that seals.
        started: commands that run on its server already.

    Raises:
        ResilienceError: a setting is wrong, or the keys that seal are not ready.
    """
    carrier = _carrier(settings, destination, started)
    if settings.seal.is_on or (fetches and settings.seal.opens):
        return _sealed(settings, destination, carrier, fetches=fetches)
    return carrier


def _sealed(
    settings: OffsiteSettings,
    destination: DestinationSettings,
    carrier: Transport,
    *,
    fetches: bool,
) -> Transport:
    keys = importlib.import_module("..sealing.keys", __package__)
    folder = keys.folder_of(settings.config_dir)
    loaded = (keys.load_for_opening if fetches else keys.load)(folder, settings.seal)
    own = "" if destination.name == DEFAULT else f"-{destination.name}"
    sealed: Transport = _module("sealed").SealedTransport(
        carrier,
        loaded,
        root=settings.tree_root,
        pattern=settings.backup_pattern,
        ledger_file=os.path.join(settings.state_dir, f"offsite-sealed{own}.jsonl"),
        spool_folder=os.path.join(settings.state_dir, f"sealing{own}"),
        time_limit=destination.time_limit,
        known=settings.seal.known_link,
    )
    return sealed


def _carrier(
    settings: OffsiteSettings, destination: DestinationSettings, started: Started | None
) -> Transport:
    carrier: Transport
    if destination.transport == "rclone":
        rclone = _module("rclone")
        reached = rclone.RcloneDestination(
            remote=destination.rclone_remote,
            config_file=destination.rclone_config_file,
            bandwidth_kbps=destination.bandwidth_kbps or None,
            time_limit=destination.time_limit,
            connect_seconds=destination.connect_seconds,
            silence_seconds=destination.silence_seconds,
        )
        carrier = rclone.RcloneTransport(reached)
        return carrier
    by_ssh = ssh_destination(settings, destination)
    if destination.mode == RESTRICTED:
        carrier = _module("gate").GateTransport(by_ssh, started)
    else:
        carrier = _module("account").AccountTransport(by_ssh, started)
    return carrier


def _module(name: str) -> Any:
    """Return the file of a transport; only those that the configuration names are loaded."""
    return importlib.import_module(f".transport_{name}", __package__)
