# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The targets of the disk monitor, from its settings."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..common import iso_time
from ..common.errors import ResilienceError
from ..common.levels import Thresholds
from .disk_settings import MonitorSettings, TargetSettings
from .usage import Target


class MonitorTargets(NamedTuple):
    """The targets of the monitor.

    Attributes:
        targets: those that are named.
        discover: limits for filesystems that are not named; None to leave these out.
        silences: until when a target's alerts are not sent, by path.
    """

    targets: list[Target]
    discover: Target | None
    silences: dict[str, datetime.datetime]


def monitor_targets(settings: MonitorSettings) -> MonitorTargets:
    """Return the targets that settings name.

    Raises:
        ResilienceError: an option is wrong; names it.
    """
    _check_hysteresis("hysteresis", settings.hysteresis)
    common = _target(settings, TargetSettings("/"), "")
    targets: dict[tuple[str, bool], Target] = {}
    silences = {}
    for path in settings.paths:
        check_absolute("paths", path)
        target = _target(settings, TargetSettings(path), "")
        targets[target.path, False] = target
    if settings.backup_path:
        check_absolute("backup_path", settings.backup_path)
        folder = TargetSettings(settings.backup_path, folder=True)
        targets[folder.path, True] = _target(settings, folder, "")
    for number, entry in enumerate(settings.targets):
        where = f"targets[{number}]."
        if not entry.path.startswith("/"):
            raise ResilienceError(
                "a target has no absolute path",
                option=f"{where}path",
                value=entry.path,
                remedy="name a mount point or a folder, such as {path: /srv}",
            )
        _check_hysteresis(where + "hysteresis", entry.hysteresis)
        target = _target(settings, entry, where)
        # It replaces the target of the same path in `paths`.
        targets[target.path, target.folder] = target
        if entry.silence_until:
            silences[target.path] = _date(entry.silence_until, where)
    _check_names(list(targets.values()))
    return MonitorTargets(list(targets.values()), common if settings.discover else None, silences)


def check_absolute(option: str, value: str) -> None:
    """Check that an option is an absolute path.

    Raises:
        ResilienceError: it is none.
    """
    if not value.startswith("/"):
        raise ResilienceError(
            "this is no absolute path", option=option, value=value, remedy="begin it with /"
        )


def _check_names(targets: Sequence[Target]) -> None:
    """Check that no two targets are called alike: alerts, metrics and pages show the names."""
    named: dict[str, Target] = {}
    for target in targets:
        name = target.name or target.path
        other = named.setdefault(name, target)
        if other is not target and (other.name or target.name):
            raise ResilienceError(
                f"the targets {other.path} and {target.path} have the same name",
                option="targets",
                value=name,
                remedy="give each a name of its own, or none",
            )


def _target(settings: MonitorSettings, entry: TargetSettings, where: str) -> Target:
    def given(name: str) -> Any:
        own = getattr(entry, name)
        return getattr(settings, name) if own is None else own

    def thresholds(prefix: str) -> Thresholds:
        warning, critical, emergency = (
            given(prefix + name) for name in ("warning", "critical", "emergency")
        )
        return Thresholds(warning, critical, emergency, where, inodes=bool(prefix))

    time_limit = given("time_limit")
    if time_limit <= 0:
        raise ResilienceError(
            "a time limit is not above 0",
            option=f"{where}time_limit",
            value=time_limit,
            remedy="give seconds, such as 10",
        )
    return Target(
        # On Linux two slashes at the beginning are one; os.path keeps them apart.
        path="/" + entry.path.lstrip("/"),
        name=entry.name or "",
        folder=bool(entry.folder),
        thresholds=thresholds(""),
        inodes=thresholds("inodes_"),
        hysteresis=given("hysteresis"),
        must_be_mount=entry.must_be_mount,
        may_be_read_only=entry.may_be_read_only,
        time_limit=time_limit,
    )


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
        # A moment of the first or the last day of all years may be none elsewhere.
        return iso_time.parse(text).astimezone()
    except (OverflowError, ValueError) as error:
        raise ResilienceError(
            "this is no date",
            option=f"{where}silence_until",
            value=text,
            remedy="write it as 2026-12-31 or 2026-12-31T18:00",
        ) from error
