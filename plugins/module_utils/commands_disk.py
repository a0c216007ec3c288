# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 on the host: `monitor-disk-space` and `disk-status`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from . import disk, inventory, render
from .command import Command, append_log, colour, now, tell, warn
from .config import Key

KEYS = {
    "paths": Key(list, required=True),
    "backup_path": Key(str, required=True),
    "tiers": Key(list, list(inventory.TIERS)),
    "pattern": Key(str, inventory.PATTERN),
    "warning": Key((int, float), 70),
    "critical": Key((int, float), 80),
    "emergency": Key((int, float), 90),
    "log_file": Key(str, required=True),
    "language": Key(str, "pt_BR"),
}


def _measure(settings: dict[str, Any]) -> dict[str, Any]:
    limits = disk.Thresholds(settings["warning"], settings["critical"], settings["emergency"])
    targets = [disk.Target(path, limits) for path in settings["paths"]]
    targets.append(disk.Target(settings["backup_path"], limits, folder=True))
    results = disk.check(targets)
    return {
        "level": disk.worst([result.level for result in results]),
        "targets": [result.to_dict() for result in results],
        "time": now(),
    }


def _log_line(moment: str, target: dict[str, Any]) -> str:
    """One `key=value` line for one target; values are JSON, so a line stays one line."""
    keys = ("path", "level", "percent_used", "bytes_used", "bytes_total", "reason")
    return " ".join([moment, *(f"{key}={json.dumps(target[key])}" for key in keys)])


def _monitor(settings: dict[str, Any], arguments: argparse.Namespace) -> int:
    result = _measure(settings)
    lines = [_log_line(result["time"], target) for target in result["targets"]]
    result["log_problem"] = append_log(settings["log_file"], lines)
    tell(json.dumps(result) if arguments.json else "\n".join(lines))
    if result["log_problem"]:
        warn(result["log_problem"])
    return disk.exit_code(result["level"])


def _status(settings: dict[str, Any], arguments: argparse.Namespace) -> int:
    result = _measure(settings)
    backups = inventory.scan(
        settings["backup_path"],
        tiers=settings["tiers"],
        pattern=settings["pattern"],
        digest=False,
    ).to_dict()
    if arguments.json:
        tell(json.dumps({**result, "backups": backups}))
    else:
        tell(render.dashboard(result, backups, settings["language"], colour()))
    return disk.exit_code(result["level"])


COMMANDS = {
    "monitor-disk-space": Command("measure, judge and log every target", KEYS, _monitor),
    "disk-status": Command("show the disk dashboard", KEYS, _status),
}
