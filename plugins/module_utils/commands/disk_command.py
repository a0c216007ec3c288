# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of stage 1 share: their check of the settings, history and alerts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

from ..common import bounded_calls, run_steps
from ..common.bounded_calls import BoundedCall
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.messages import _
from ..common.system_errors import reason
from ..common.zip_equal import zip_equal
from ..disk import disk_check
from ..disk.disk_settings import DiskSettings
from ..disk.monitor_targets import check_absolute
from ..history.history import History, open_history
from ..notifications import metrics, notify
from ..notifications.alerts import AlertState, Condition
from ..pages import disk_lines

STAGE = "disk"
# Causes that have an alert of their own beside that of the target's level.
APART = ("dump_fit", "drill_fit", "retention_fit")


def conditions(
    measured: disk_check.DiskMeasurement, settings: DiskSettings
) -> tuple[list[Condition], dict[str, float]]:
    """Return the alert conditions, and by key until when alerts are silenced."""
    language = translations(settings.language)
    found, silent = list[Condition](), dict[str, float]()
    for result in measured.results:
        groups: dict[str, list[dict[str, Any]]] = {"": []}
        for cause in result.causes:
            groups.setdefault(cause["code"] if cause["code"] in APART else "", []).append(cause)
        until = measured.monitored.silences.get(result.path)
        for group, causes in groups.items():
            if causes:
                one = disk_lines.condition(language, group, result, causes)
                found.append(one)
                if until is not None:
                    silent[one.key] = until.timestamp()
    return found, silent


def alert_states(settings: DiskSettings, history: History | None) -> dict[str, AlertState]:
    """Return the stored alert states, by key."""
    return notify.states_in_force(STAGE, settings.named_host, history, settings.fallback_dir)


def check_settings(settings: DiskSettings, file: str, *, services: bool = False) -> None:
    """Check all settings before anything is touched.

    Args:
        settings: those of the file.
        file: where they are from.
        services: whether to check that Apprise knows every service, which takes a second.

    Raises:
        ResilienceError: one is wrong; names it and the file.
    """
    try:
        translations(settings.language)
        disk_check.validate(settings)
        for name in ("log_file", "state_dir", "fallback_dir"):
            check_absolute(name, getattr(settings, name))
        if settings.metrics_file:
            check_absolute("metrics_file", settings.metrics_file)
        settings.check_notifications()
        settings.check_status_page()
        metrics.validate_path(settings.metrics_file, "chefwell_disk.prom")
        if services:
            settings.validate_services()
    except ResilienceError as error:
        raise error.of_file(file) from error


@contextlib.contextmanager
def open_stored_history(settings: DiskSettings, problems: list[str]) -> Iterator[History | None]:
    """Open the history for reading; None where there is none yet, or where it cannot be read."""
    silent = paths_without_answer(settings, "state_dir")
    if silent:
        problems += silent.values()
        yield None
        return
    if os.path.lexists(settings.state_dir) and not os.path.isdir(settings.state_dir):
        # To read only, a folder that is not there yet is no problem; this is none at all.
        problems.append(_("%(path)s is no folder [state_dir]", path=settings.state_dir))
        yield None
        return
    with open_history(settings.state_dir, problems, read_only=True) as history:
        yield history


def paths_without_answer(settings: DiskSettings, *names: str) -> dict[str, str]:
    """Return by setting which paths are on a filesystem that hangs, as texts: to open them would
    block the run for ever, or did so in an earlier attempt of it."""
    paths = {name: getattr(settings, name) for name in names if getattr(settings, name)}
    blocked = {
        name: _not_used(name, paths.pop(name), why)
        for name in list(paths)
        if (why := run_steps.why_blocked(name))
    }
    found = bounded_calls.results(
        [
            BoundedCall(f"{name} {path}", partial(_reach, path), settings.time_limit)
            for name, path in paths.items()
        ]
    )
    return blocked | {
        name: _not_used(name, path, reason(result.error))
        for (name, path), result in zip_equal(paths.items(), found)
        if isinstance(result.error, TimeoutError)
    }


def _not_used(name: str, path: str, why: str) -> str:
    """Return why a path is not used, with the option that it is of."""
    option = "status_page" if name == "status_path" else name
    return _(
        "%(folder)s is not used in this run: %(why)s [%(option)s]",
        folder=path,
        why=why,
        option=option,
    )


def _reach(path: str) -> None:
    """Measure the filesystem of a path, or of the nearest folder above it that can be reached."""
    try:
        os.statvfs(path)
    except OSError:
        if path != os.path.dirname(path):
            _reach(os.path.dirname(path))
