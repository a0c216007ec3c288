# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing among the options of the destinations of the offsite copy, all at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NO_DESTINATION = (
    "resilience_offsite is not set. Give the backup server, such as {host: backup.example.com,"
    " user: backupuser, path: /backups/chefwell}, or leave stage 2 out with --skip-tags stage2."
)
_REMEDIES = {
    "rclone_remote": "Give a remote that rclone config made, and a folder in it, such as"
    " b2:bucket/chefwell.",
    "host": "Give the name or address of the backup server, such as backup.example.com.",
    "user": "Give the account on the backup server, such as backupuser.",
    "path": "Give the folder on the backup server that takes the copies, such as"
    " /backups/chefwell.",
    "host_key": "Get the server's key with `ssh-keyscan -t ed25519 -p {port} {host}`, compare it"
    " with {host_key_file} on the server itself, by another way than this network, and give that"
    " line; or name the server in the inventory in inventory_host.",
}


def problems(destinations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each option that is missing, and each name that does not do.

    Args:
        destinations: as the role's options have them, with defaults.
    """
    if not any(one.get(option) for one in destinations for option in _REMEDIES):
        return [NO_DESTINATION]
    names = Counter(one.get("name") for one in destinations)
    found = []
    for one in destinations:
        name = one.get("name")
        if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", str(name)) or names[name] > 1:
            found.append(
                f"Destination {name}: give each further destination a name of its own, of letters,"
                " digits, - and _."
            )
        for option in _needed(one):
            if not one.get(option):
                shown = {key: value for key, value in one.items() if value is not None}
                remedy = _REMEDIES[option].format(**{**shown, "host": one.get("host") or "SERVER"})
                found.append(f"Destination {name}: {option} is not set. {remedy}")
    return found


def _needed(destination: Mapping[str, Any]) -> list[str]:
    if destination.get("transport") == "rclone":
        return ["rclone_remote"]
    return ["host", "user", "path"] + ([] if destination.get("inventory_host") else ["host_key"])
