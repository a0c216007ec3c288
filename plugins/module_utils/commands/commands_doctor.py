# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `doctor`: whether this host has what its installed stages need."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import socket
import sys
from typing import Any

from ..checkpoint.checkpoint_settings import CheckpointSettings
from ..common import settings as configuration
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.settings import option
from ..disk.disk_settings import DiskSettings
from ..offsite.offsite_config import OffsiteSettings
from ..preflight import host_problems, packages, stage_needs
from ..proof.restore_settings import RestoreSettings
from .command import EXIT_CRITICAL, EXIT_OK, Command, print_result

# The configuration of each stage: its file and its settings class.
STAGES: dict[str, type[Any]] = {
    "disk": DiskSettings,
    "offsite": OffsiteSettings,
    "staging": RestoreSettings,
    "checkpoint": CheckpointSettings,
}


@dataclasses.dataclass(frozen=True)
class DoctorSettings:
    """Where the stages of this host are installed.

    Attributes:
        config_dir: folder of the stages' configurations.
        folders: folders that the commands write in.
    """

    config_dir: str = option(required=True)
    folders: tuple[str, ...] = ()


def diagnosis(settings: DoctorSettings) -> dict[str, Any]:
    """Return what was looked at on this host and every problem that was found."""
    system = packages.system()
    names = [str(system["id"]), *(str(name) for name in system["like"])]  # type: ignore[attr-defined]
    family = packages.family(names)
    problems: list[host_problems.Problem] = []
    needs: list[dict[str, Any]] = []
    found, language = [], ""
    for name, kind in STAGES.items():
        path = os.path.join(settings.config_dir, f"{name}.json")
        if not os.path.exists(path):
            continue
        found.append(name)
        try:
            held = configuration.read(path)
            parsed = configuration.parse(held, kind, source=path)
        except ResilienceError as error:
            problems.append(host_problems.Problem(error.message()))
            continue
        language = language or str(held.get("language") or "")
        needs += stage_needs.needs_of(parsed) if name != "checkpoint" else []
    if not found:
        folder = settings.config_dir
        text = f"no stage is installed, {folder} has no configuration; run the playbooks"
        problems.append(host_problems.Problem(text))
    for folder in settings.folders:
        if not host_problems.writable(folder):
            problems.append(host_problems.Problem(f"{folder}: this user may not write there"))
        room = host_problems.room_problem(folder)
        problems += [room] if room else []
    problems += host_problems.problems(needs, sys.executable, family, system)
    return {
        "host": socket.gethostname(),
        "system": system["name"],
        "python": platform.python_version(),
        "stages": found,
        "language": language or "en",
        "problems": list(dict.fromkeys(one.text for one in problems)),
        "install": packages.install_command(family, {one.name for one in problems if one.name}),
    }


def page(found: dict[str, Any]) -> str:
    """Return the diagnosis as text."""
    tr = translations(found["language"])
    stages = ", ".join(found["stages"]) or "-"
    lines = [f"{found['host']}: {found['system']}, Python {found['python']}, {stages}"]
    count = len(found["problems"])
    if not count:
        lines.append(tr.gettext("This host has what its stages need."))
    else:
        text = tr.ngettext("%(count)d problem:", "%(count)d problems:", count)
        lines.append(text % {"count": count})
    lines += [f"- {problem}" for problem in found["problems"]]
    if found["install"]:
        lines.append(f"  {found['install']}")
    return "\n".join(lines)


def _doctor(settings: DoctorSettings, arguments: argparse.Namespace) -> int:
    found = diagnosis(settings)
    print_result(json.dumps(found, ensure_ascii=False) if arguments.json else page(found))
    return EXIT_CRITICAL if found["problems"] else EXIT_OK


COMMANDS = {
    "doctor": Command("check whether this host has what its stages need", DoctorSettings, _doctor),
}
