# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders whose variable has changed: configuration and history are not left under the earlier one.

The installation says where they are: the doctor's file beside the engine, or, where the engine
itself is to move, the doctor's command, which names that file.
"""

from __future__ import annotations

import json
import os
import re

DOCTOR = "doctor.json"
_NAMED = re.compile(r"--config\s+('[^']*'|\S+)")


def problems(lib_dir: str, scripts_dir: str, config_dir: str, state_dir: str) -> list[str]:
    """Return a sentence for each folder that an installation uses under another path."""
    used = _used(lib_dir, scripts_dir)
    return [
        f"the host's {holds} is in {used[name]} [{name}={path!r}] - move it before this run "
        f"(mv {used[name]} {path}), or set {name} to {used[name]}; to begin anew, "
        "run rollback_all with the earlier value"
        for name, path, holds in (
            ("host_kit_config_dir", config_dir, "configuration"),
            ("host_kit_state_dir", state_dir, "history"),
        )
        if name in used and _is_left(used[name], path)
    ]


def _used(lib_dir: str, scripts_dir: str) -> dict[str, str]:
    """Return the folders of the installation that is there; none where there is none."""
    for path in (os.path.join(lib_dir, DOCTOR), _named_by_command(scripts_dir)):
        try:
            with open(path, encoding="utf-8") as file:
                held = json.load(file)
            return {
                "host_kit_config_dir": str(held["config_dir"]),
                "host_kit_state_dir": str(held["folders"][1]),
            }
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue  # no installation, or one that wrote no such file
    return {}


def _named_by_command(scripts_dir: str) -> str:
    """Return the doctor's file that the doctor's command names; empty where there is no command."""
    try:
        with open(os.path.join(scripts_dir, "doctor.sh"), encoding="utf-8") as file:
            named = _NAMED.search(file.read())
    except (OSError, ValueError):
        return ""
    return named[1].strip("'") if named else ""


def _is_left(used: str, requested: str) -> bool:
    """Return whether a folder with something in it would be left under its earlier path."""
    if os.path.realpath(used) == os.path.realpath(requested):
        return False
    try:
        return bool(os.listdir(used))
    except OSError:
        return False  # it was moved or removed
