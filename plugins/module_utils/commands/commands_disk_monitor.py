# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 on the host: `monitor-disk-space`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ..common import run_steps
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import OK, UNKNOWN, exit_code
from ..common.locks import single_run
from ..common.messages import _
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..disk import disk_check, mounts
from ..disk.disk_settings import DiskSettings
from ..history.history import History, delete_stage, open_history
from ..notifications import metrics, notify, ping
from ..notifications.alerts import Condition
from ..pages import disk_lines, status_file
from . import disk_command
from .command import (
    Command,
    OutputError,
    append_log,
    now,
    print_result,
    started_by_cron,
    warn,
    warn_problems,
)


def _gone(
    settings: DiskSettings, conditions: list[Condition], history: History | None
) -> list[Condition]:
    """Return conditions for targets whose alert is in force and that are measured no longer."""
    known = {condition.key for condition in conditions}
    states = disk_command.alert_states(settings, history)
    missing = {
        key: state
        for key, state in states.items()
        if key not in known
        and state.level not in (OK, UNKNOWN)
        and key.rpartition(":")[2] not in disk_command.APART
    }
    if not missing:
        return []
    points = {f"mount:{clean(mount.point)}" for mount in mounts.mount_table()}
    language = translations(settings.language)
    return [
        disk_lines.gone(language, key, state, key in points or not key.startswith("mount:"))
        for key, state in missing.items()
    ]


def _notify(
    measured: disk_check.DiskMeasurement, settings: DiskSettings, history: History | None
) -> notify.NotifyResult:
    conditions, silent = disk_command.conditions(measured, settings)
    return notify.notify(
        disk_command.STAGE,
        [*conditions, *_gone(settings, conditions, history)],
        settings,
        history,
        translations(settings.language),
        now=measured.time,
        silent_until=silent,
    )


def _delete_state(settings: DiskSettings) -> int:
    """Delete this stage's samples and alert states from the history, which other stages share."""
    if delete_stage(settings.state_dir, disk_command.STAGE):
        print_result("deleted")
    return exit_code(OK)


def _monitor(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    if arguments.delete_state:
        return _delete_state(settings)
    disk_command.check_settings(settings, arguments.config)
    return _plugin(settings) if arguments.nagios else _run(settings, arguments.json)


def _run(settings: DiskSettings, as_json: bool) -> int:
    """Measure, log, send notifications and store the samples; return the exit code."""
    problems: list[str] = []
    ping.ping_or_report(settings.ping_url, "start", "", problems)
    silent = disk_command.paths_without_answer(
        settings, "state_dir", "log_file", "metrics_file", "status_path"
    )
    with contextlib.ExitStack() as stack:
        alone, history = True, None
        if "state_dir" in silent:
            problems.append(silent["state_dir"])
        else:
            alone = stack.enter_context(single_run(settings.state_dir, disk_command.STAGE))
            history = stack.enter_context(open_history(settings.state_dir, problems))
        try:
            measured = disk_check.measurement(settings, history, time.time())
        except ResilienceError as error:
            ping.ping_or_report(settings.ping_url, "fail", str(error), problems)
            raise
        lines = [disk_lines.log_line(now(), result) for result in measured.results]
        result: dict[str, Any] = {**measured.to_dict(), "time": now()}
        # First the log: whatever comes after it may fail or take its time.
        result["log_problem"] = silent.get("log_file") or _append_log(settings, lines)
        problems += measured.problems
        if alone:
            _store(measured, settings, history, result, problems)
            if "metrics_file" in silent:
                problems.append(silent["metrics_file"])
            elif settings.metrics_file:
                with run_steps.step("metrics_file"):
                    metrics.write_or_report(
                        settings.metrics_file, lambda: disk_lines.gauges(measured), problems
                    )
            if "status_path" in silent:
                if os.path.dirname(settings.status_path) != settings.state_dir:
                    problems.append(silent["status_path"])
            else:
                with run_steps.step("status_path"):
                    status_file.write_or_report(settings, history, measured.time, problems)
        else:
            problems.append(_("another run is at work; history and alerts are left to it"))
    if result["log_problem"]:
        problems.insert(0, result["log_problem"])
    # The host's own levels decide; unknown is a failure too, because nothing was measured.
    action = "success" if exit_code(measured.level) <= 1 else "fail"
    ping.ping_or_report(settings.ping_url, action, "\n".join([*lines, *problems]), problems)
    result["problems"] = list(dict.fromkeys(problems))
    if as_json:
        _print_result(json.dumps(result))
    # Cron sends a mail with whatever is printed, and this is news for nobody.
    elif measured.level != OK or result["problems"] or not started_by_cron():
        _print_result("\n".join(lines))
    warn_problems(settings, result["problems"])
    return exit_code(measured.level)


def _append_log(settings: DiskSettings, lines: Sequence[str]) -> str | None:
    """Append the lines of this run to the log, once; return why that is not possible."""
    if run_steps.was_done("log_file"):
        return None
    with run_steps.step("log_file"):
        return append_log(settings.log_file, lines)


def _plugin(settings: DiskSettings) -> int:
    """Measure, and print the line of a monitoring plugin; nothing is written."""
    problems: list[str] = []
    with disk_command.open_stored_history(settings, problems) as history:
        measured = disk_check.measurement(settings, history, time.time())
    problems += measured.problems
    _print_result(disk_lines.nagios(measured, problems))
    return exit_code(disk_lines.plugin_level(measured, problems))


def _plugin_failure(given: Sequence[str], text: str) -> str:
    """Return the line of a plugin that cannot measure; empty where no plugin was requested."""
    return disk_lines.plugin_line(UNKNOWN, text) if "--nagios" in given else ""


def _print_result(text: str) -> None:
    """Print the result; an output that takes nothing must not change the exit code."""
    try:
        print_result(text)
    except OutputError as error:
        warn(f"the output cannot be written: {reason(error)}")


def _store(
    measured: disk_check.DiskMeasurement,
    settings: DiskSettings,
    history: History | None,
    result: dict[str, Any],
    problems: list[str],
) -> None:
    """Send notifications, and then store the samples."""
    why = run_steps.why_blocked("notify")
    if why:
        problems.append(_("alerts are left to the next run: %(why)s [notify]", why=why))
    else:
        outcome = _notify(measured, settings, history)
        problems += outcome.problems
        result["alerts"] = disk_lines.alerts_in_force(outcome.states, measured.time)
        result["notifications"] = [
            {"kind": one.kind, "key": one.key, "name": one.name, "level": one.level}
            for one in outcome.notifications
        ]
        result["delivered"], result["kept"] = outcome.delivered, outcome.kept
    if history is not None and history.writable:
        try:
            history.add_samples(disk_check.samples(measured))
        except ResilienceError as error:
            problems.append(error.message())


def _monitor_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--delete-state",
        action="store_true",
        help="delete the stored samples and alert state and exit",
    )
    chosen.add_argument(
        "--nagios",
        action="store_true",
        help="measure only, and print one line as a monitoring plugin, with performance data",
    )


COMMANDS = {
    "monitor-disk-space": Command(
        "measure the disks, log, store samples and send notifications",
        DiskSettings,
        _monitor,
        _monitor_arguments,
        _plugin_failure,
        notifies=True,
        limits=lambda settings: (settings.run_time_limit, settings.time_limit),
        check=partial(disk_command.check_settings, services=True),
    ),
}
