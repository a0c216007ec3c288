# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage needs of its host, from the stage's configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# Used only where it is there.
DEFAULT_BUILD = "../backend"
# What else helps than to install a program.
INSTEAD = {
    "crontab": "let no cron line be written: disk_monitor_cron_enabled, offsite_backup_cron_enabled"
    " or staging_restore_cron_enabled set to false",
    "bwrap": "set staging_restore_sandbox to false if you trust your backups",
    "docker program": "restore without Docker: staging_restore_engine set to embedded or external",
}


def needs_of(stage: str, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a stage needs, each as plain values: its `kind` and what it names.

    Args:
        stage: its role, such as `disk_monitor`.
        config: its configuration, and `cron_enabled` and `runbook` of the role where it is known.
    """
    found = [_library(name) for name in _notification_libraries(config)]
    scheduled = config.get("cron_enabled") or config.get("verify_cron_enabled")
    found += [_program("crontab")] if scheduled else []
    return found + _OF_STAGE[stage](config)


def _library(name: str) -> dict[str, Any]:
    return {"kind": "library", "name": name}


def _program(name: str) -> dict[str, Any]:
    return {"kind": "program", "name": name}


def _notification_libraries(config: Mapping[str, Any]) -> list[str]:
    return [
        *(["apprise"] if config.get("notify") else []),
        *(["prometheus_client"] if config.get("metrics_file") else []),
    ]


def _disk(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_library("psutil"), *_backups(config)]


def _backups(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    path = config.get("backup_path")
    return [{"kind": "folder", "option": "resilience_backup_path", "path": path}] if path else []


def _offsite(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    found, transports = _backups(config), set()
    for number, destination in enumerate(config.get("destinations") or []):
        transports.add(destination.get("transport", "rsync"))
        if destination.get("transport", "rsync") == "rsync" and destination.get("host"):
            found.append(
                {
                    "kind": "reach",
                    "option": f"resilience_offsite[{number}].host",
                    "host": destination["host"],
                    "port": int(destination.get("port") or 22),
                    "seconds": float(destination.get("connect_seconds") or 10),
                }
            )
    if "rsync" in transports:
        found += [_program(name) for name in ("rsync", "ssh", "ssh-keygen")]
    return found + ([_program("rclone")] if "rclone" in transports else [])


def _staging(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    engine = config.get("engine", "auto")
    found = [_library("psycopg2")]
    if (config.get("seal") or {}).get("at_rest"):
        found.append(_program("ssh-keygen"))  # the key that signs is made with the one that opens
    if config.get("runbook"):
        found.append(_library("jinja2"))
    if config.get("source", "local") != "offsite":
        found += _backups(config)
    elif not config.get("offsite_key_file") and _only_writes(config):
        found.append(
            {
                "kind": "wrong",
                "text": "backups are to be fetched from offsite, and the key of stage 2 may only"
                " write there [staging_restore_source='offsite'] - name the file of a key that may"
                " read in staging_restore_offsite_key_file; the role makes and authorizes it",
            }
        )
    compose = [_library("docker"), _program("docker program"), *_build(config)]
    embedded = [
        _library("psutil"),
        *([_program("bwrap")] if config.get("sandbox", True) else []),
        {"kind": "postgres", "bin_dir": config.get("bin_dir") or ""},
    ]
    if engine == "auto":
        found += [{**one, "docker": True} for one in compose]
        found += [{**one, "docker": False} for one in embedded]
    elif engine == "compose":
        found += compose
    else:
        found += embedded if engine == "embedded" else [_library("psutil")]
    return found


def _build(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the need of the folder that the application is built from, unless the default."""
    named = config.get("backend_build") or ""
    elsewhere = "://" in named or named.startswith("git@")
    if config.get("backend_image") or named in ("", DEFAULT_BUILD) or elsewhere:
        return []
    path = os.path.normpath(os.path.join(config.get("dir") or "/", named))
    return [{"kind": "build", "option": "staging_restore_backend_build", "path": path}]


def _only_writes(config: Mapping[str, Any]) -> bool:
    """Return whether the destination that is read from has a gate, as far as it is known."""
    name = config.get("offsite_destination")
    for destination in config.get("destinations") or []:
        if not name or destination.get("name") == name:
            return bool(
                destination.get("transport", "rsync") == "rsync"
                and destination.get("mode", "restricted") == "restricted"
            )
    return False


_OF_STAGE = {
    "disk_monitor": _disk,
    "offsite_backup": _offsite,
    "staging_restore": _staging,
}
