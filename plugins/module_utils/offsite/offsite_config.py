# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2's configuration file: its keys, and the settings of each destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common import config
from ..common.config import Key
from ..common.errors import ResilienceError
from ..inventory import freshness, inventory
from ..notifications import notification_settings
from . import offsite_guards
from .offsite_settings import MARKER, SyncSettings
from .ssh import RESTRICTED, Destination
from .transport import Transport
from .transport_account import AccountTransport
from .transport_gate import GateTransport
from .transport_rclone import RcloneDestination, RcloneTransport

# Keys that each destination may set for itself.
_OWN = {
    "transport": Key(str, "rsync"),
    "rclone_remote": Key(str, ""),
    "rclone_config_file": Key(str, "/root/.config/rclone/rclone.conf"),
    "server_host": Key(str, ""),
    "server_port": Key(int, 22),
    "server_user": Key(str, ""),
    "server_path": Key(str, ""),
    "server_mode": Key(str, RESTRICTED),
    "key_file": Key(str, ""),
    "known_hosts_file": Key(str, ""),
    "ssh_options": Key(list, []),
    "bandwidth_kbps": Key(int, 0),
    "compress": Key(bool, False),
    "durable": Key(bool, True),
    "time_limit": Key((int, float), 7200),
    "connect_seconds": Key(int, 20),
    "silence_seconds": Key(int, 300),
    "tries": Key(int, 3),
    "retry_seconds": Key((int, float), 10),
}
KEYS = {
    **_OWN,
    "destinations": Key(list, []),
    "backup_path": Key(str, required=True),
    "tiers": Key(list, list(inventory.TIERS)),
    "pattern": Key(str, inventory.PATTERN),
    "marker": Key(str, MARKER),
    "least_backups": Key(int, 1),
    "change_percent": Key((int, float), 40),
    "least_bytes": Key(int, 100),
    "shrink_percent": Key((int, float), 50),
    "rpo_hours": Key((int, float), 24),
    "reread_days": Key((int, float), 30),
    "wait_minutes": Key((int, float), 0),
    "schedule": Key(dict, dict(freshness.SCHEDULE)),
    "metrics_file": Key(str, ""),
    "state_dir": Key(str, required=True),
    "log_file": Key(str, required=True),
    "language": Key(str, "pt_BR"),
    **notification_settings.KEYS,
}
DEFAULT = "default"


def destinations(values: dict[str, Any], chosen: Sequence[str] = ()) -> list[SyncSettings]:
    """Return the settings of each destination, the default one first.

    Args:
        values: the configuration, as `config.load` returned it.
        chosen: names of the destinations; all when empty.

    Raises:
        ResilienceError: a destination's setting is wrong or unknown, two have one name, or a chosen
            one does not exist.
    """
    found = {DEFAULT: _settings(values, "")}
    for own in values["destinations"]:
        name = str(own.get("name", "")) if isinstance(own, dict) else ""
        if not name or name in found:
            raise ResilienceError(
                "each further destination needs a name of its own",
                option="destinations",
                value=own,
                remedy="give it `name`, other than `default`",
            )
        given = {key: value for key, value in own.items() if key != "name"}
        for key, value in given.items():
            config.check_value(f"destination {name}", key, value, _OWN)
        found[name] = _settings({**values, **given, **_own_files(values, given, name)}, name)
    for name in chosen:
        if name not in found:
            raise ResilienceError(
                "there is no such destination",
                option="destination",
                value=name,
                remedy=f"name one of {', '.join(found)}",
            )
    return [settings for name, settings in found.items() if not chosen or name in chosen]


def _own_files(values: Mapping[str, Any], given: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the key and known_hosts file of a destination that names none, by the role's rule."""
    files = {"key_file": f"{values['key_file']}_{name}"}
    files["known_hosts_file"] = f"{values['known_hosts_file']}-{name}"
    return {key: str(given.get(key) or path) for key, path in files.items()}


def _settings(values: dict[str, Any], name: str) -> SyncSettings:
    def some(*names: str) -> dict[str, Any]:
        return {key: values[key] for key in names}

    return SyncSettings(
        transport=_transport(values),
        tiers=tuple(values["tiers"]),
        limits=offsite_guards.Limits(
            **some("least_backups", "change_percent", "least_bytes", "shrink_percent", "rpo_hours")
        ),
        name=name,
        unfinished_seconds=60 * values["wait_minutes"],
        schedule=freshness.schedule_hours(values["schedule"]),
        **some("backup_path", "state_dir", "pattern", "marker", "reread_days"),
        **some("tries", "retry_seconds", "durable"),
    )


def _transport(values: dict[str, Any]) -> Transport:
    def some(*names: str) -> dict[str, Any]:
        return {key: values[key] for key in names}

    if values["transport"] not in ("rsync", "rclone"):
        raise ResilienceError(
            "there is no such transport",
            option="transport",
            value=values["transport"],
            remedy="give rsync or rclone",
        )
    if values["transport"] == "rclone":
        return RcloneTransport(
            RcloneDestination(
                remote=values["rclone_remote"],
                config_file=values["rclone_config_file"],
                bandwidth_kbps=values["bandwidth_kbps"] or None,
                **some("time_limit", "connect_seconds", "silence_seconds"),
            )
        )
    destination = Destination(
        host=values["server_host"],
        port=values["server_port"],
        user=values["server_user"],
        path=values["server_path"],
        mode=values["server_mode"],
        bandwidth_kbps=values["bandwidth_kbps"] or None,
        ssh_options=tuple(values["ssh_options"]),
        **some("key_file", "known_hosts_file", "compress"),
        **some("time_limit", "connect_seconds", "silence_seconds"),
    )
    if destination.mode == RESTRICTED:
        return GateTransport(destination)
    return AccountTransport(destination)
