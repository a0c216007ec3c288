# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to watch, from the options that both doors share: Ansible's and the host's configuration."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from ..common.errors import ResilienceError, known_names
from ..common.levels import DEFAULTS, Thresholds
from .usage import HYSTERESIS, Target

# What one entry of `targets` may say: its type, and whether it may be None (not said).
TARGET_KEYS: dict[str, tuple[type, ...]] = {
    "path": (str,),
    "name": (str,),
    "folder": (bool,),
    "warning": (int, float, str),
    "critical": (int, float, str),
    "emergency": (int, float, str),
    "inodes_warning": (int, float, str),
    "inodes_critical": (int, float, str),
    "inodes_emergency": (int, float, str),
    "hysteresis": (int, float),
    "must_be_mount": (bool,),
    "may_be_read_only": (bool,),
    "time_limit": (int, float),
    "silence_until": (str,),
}


@dataclasses.dataclass(frozen=True)
class MonitorTargets:
    """What to watch.

    Attributes:
        targets: those that were named.
        discover: what filesystems that nobody named are judged by; None to leave them out.
        silences: until when a target's alerts are not sent, by path.
    """

    targets: list[Target]
    discover: Target | None
    silences: dict[str, datetime.datetime]


def monitor_targets(options: Mapping[str, Any]) -> MonitorTargets:
    """What to watch.

    Args:
        options: `paths`, `targets`, `backup_path` (may be empty), `discover`, and the defaults of
            every target: `warning`, `critical`, `emergency`, `inodes_warning`, `inodes_critical`,
            `inodes_emergency`, `hysteresis`, `time_limit`.

    Raises:
        ResilienceError: an option is wrong; names it.
    """
    _check_hysteresis("hysteresis", options.get("hysteresis"))
    common = _target(options, {"path": "/"}, "")
    targets: dict[tuple[str, bool], Target] = {}
    silences = {}
    for path in options.get("paths") or []:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ResilienceError(
                "this is no absolute path", option="paths", value=path, remedy="begin it with /"
            )
        targets[path, False] = _target(options, {"path": path}, "")
    backups = options.get("backup_path")
    if backups:
        targets[backups, True] = _target(options, {"path": backups, "folder": True}, "")
    for number, entry in enumerate(options.get("targets") or []):
        where = f"targets[{number}]."
        _check_entry(entry, where)
        target = _target(options, entry, where)
        # An entry for a path that was named already says more about it.
        targets[target.path, target.folder] = target
        if entry.get("silence_until"):
            silences[target.path] = _date(entry["silence_until"], where)
    return MonitorTargets(
        list(targets.values()), common if options.get("discover") else None, silences
    )


def _target(options: Mapping[str, Any], entry: Mapping[str, Any], where: str) -> Target:
    def given(name: str, default: Any) -> Any:
        for source in (entry, options):
            if source.get(name) is not None:
                return source[name]
        return default

    def thresholds(prefix: str) -> Thresholds:
        warning, critical, emergency = (
            given(prefix + name, default) for name, default in DEFAULTS.items()
        )
        return Thresholds(warning, critical, emergency, where, inodes=bool(prefix))

    time_limit = given("time_limit", 10)
    if time_limit <= 0:
        raise ResilienceError(
            "a time limit is not above 0",
            option=f"{where}time_limit",
            value=time_limit,
            remedy="give seconds, such as 10",
        )
    return Target(
        path=entry["path"],
        name=entry.get("name") or "",
        folder=bool(entry.get("folder")),
        thresholds=thresholds(""),
        inodes=thresholds("inodes_"),
        hysteresis=given("hysteresis", HYSTERESIS),
        must_be_mount=entry.get("must_be_mount"),
        may_be_read_only=entry.get("may_be_read_only"),
        time_limit=time_limit,
    )


def _check_entry(entry: object, where: str) -> None:
    if not isinstance(entry, dict) or not str(entry.get("path") or "").startswith("/"):
        raise ResilienceError(
            "a target has no absolute path",
            option=f"{where}path",
            value=entry.get("path") if isinstance(entry, dict) else entry,
            remedy="name a mount point or a folder, such as {path: /srv}",
        )
    for name, value in entry.items():
        if name not in TARGET_KEYS:
            raise ResilienceError(
                "a target has an unknown key",
                option=where + name,
                value=value,
                remedy=known_names(name, TARGET_KEYS),
            )
        kinds = TARGET_KEYS[name]
        fits = isinstance(value, kinds) and (kinds == (bool,) or not isinstance(value, bool))
        if value is not None and not fits:
            raise ResilienceError(
                "a target's key has a value of the wrong type",
                option=where + name,
                value=value,
                remedy=f"give a value of type {' or '.join(kind.__name__ for kind in kinds)}",
            )
    _check_hysteresis(where + "hysteresis", entry.get("hysteresis"))


def _check_hysteresis(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < 50:
        raise ResilienceError(
            "the hysteresis is not from 0 to below 50 percentage points",
            option=option,
            value=value,
            remedy="give a few percentage points, such as 2",
        )


def _date(text: str, where: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise ResilienceError(
            "this is no date",
            option=f"{where}silence_until",
            value=text,
            remedy="write it as 2026-12-31 or 2026-12-31T18:00",
        ) from error
    return moment.astimezone()
