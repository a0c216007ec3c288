# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 on the host: `monitor-disk-space` and `disk-status`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ..common import bounded_calls
from ..common.bounded_calls import BoundedCall
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import OK, UNKNOWN, exit_code
from ..common.locks import single_run
from ..common.safe_text import clean
from ..common.system_errors import reason
from ..disk import disk_check, mounts
from ..disk.disk_options import check_absolute
from ..disk.disk_settings import DiskSettings
from ..history.history import History, delete_stage, open_history
from ..notifications import delivery, metrics, notify
from ..notifications.alerts import AlertState, Condition
from ..pages import disk_lines, render_disk
from .command import Command, OutputError, append_log, colour, now, print_result, warn

STAGE = "disk"
# Causes that have an alert of their own beside that of the target's level.
APART = ("dump_fit", "drill_fit", "retention_fit")
WATCH_SECONDS = 5.0


def _conditions(
    measured: disk_check.DiskMeasurement, settings: DiskSettings
) -> tuple[list[Condition], dict[str, float]]:
    """Return the alert conditions, and by key until when alerts are silenced."""
    language = translations(settings.language)
    conditions, silent = [], {}
    for result in measured.results:
        groups: dict[str, list[dict[str, Any]]] = {"": []}
        for cause in result.causes:
            groups.setdefault(cause["code"] if cause["code"] in APART else "", []).append(cause)
        until = measured.monitored.silences.get(result.path)
        for group, causes in groups.items():
            if causes:
                found = disk_lines.condition(language, group, result, causes)
                conditions.append(found)
                if until is not None:
                    silent[found.key] = until.timestamp()
    return conditions, silent


def _gone(
    settings: DiskSettings, conditions: list[Condition], history: History | None
) -> list[Condition]:
    """Return conditions for targets whose alert is in force and that are measured no longer."""
    known = {condition.key for condition in conditions}
    states = _states(settings, history)
    missing = {
        key: state
        for key, state in states.items()
        if key not in known
        and state.level not in (OK, UNKNOWN)
        and key.rpartition(":")[2] not in APART
    }
    if not missing:
        return []
    points = {f"mount:{clean(mount.point)}" for mount in mounts.mount_table()}
    language = translations(settings.language)
    return [
        disk_lines.gone(language, key, state, key in points or not key.startswith("mount:"))
        for key, state in missing.items()
    ]


def _states(settings: DiskSettings, history: History | None) -> dict[str, AlertState]:
    """Return the stored alert states, by key."""
    return notify.states_in_force(STAGE, settings.named_host, history, settings.fallback_dir)


def _notify(
    measured: disk_check.DiskMeasurement, settings: DiskSettings, history: History | None
) -> notify.NotifyResult:
    conditions, silent = _conditions(measured, settings)
    return notify.notify(
        STAGE,
        [*conditions, *_gone(settings, conditions, history)],
        settings,
        history,
        translations(settings.language),
        now=measured.time,
        silent_until=silent,
    )


def _check_settings(settings: DiskSettings, file: str, *, services: bool = False) -> None:
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
        metrics.validate_path(settings.metrics_file, "chefwell_disk.prom")
        if services:
            settings.validate_services()
    except ResilienceError as error:
        raise ResilienceError(
            f"{file}: {error.problem}",
            option=error.option,
            value=error.value,
            remedy=error.remedy,
        ) from error


def _forget(settings: DiskSettings) -> int:
    """Delete this stage's samples and alert states from the history, which other stages share."""
    if delete_stage(settings.state_dir, STAGE):
        print_result("forgotten")
    return exit_code(OK)


def _monitor(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    if arguments.forget:
        return _forget(settings)
    _check_settings(settings, arguments.config, services=arguments.check)
    if arguments.check:
        print_result("the configuration is right")
        return exit_code(OK)
    if arguments.nagios:
        return _plugin(settings)
    problems: list[str] = []
    delivery.ping_or_report(settings.ping_url, "start", "", problems)
    silent = _without_answer(settings, "state_dir", "log_file", "metrics_file")
    with contextlib.ExitStack() as stack:
        alone, history = True, None
        if "state_dir" in silent:
            problems.append(silent["state_dir"])
        else:
            alone = stack.enter_context(single_run(settings.state_dir, STAGE))
            history = stack.enter_context(open_history(settings.state_dir, problems))
        try:
            measured = disk_check.measurement(settings, history, time.time())
        except ResilienceError as error:
            delivery.ping_or_report(settings.ping_url, "fail", str(error), problems)
            raise
        lines = [disk_lines.log_line(now(), result) for result in measured.results]
        result: dict[str, Any] = {**measured.to_dict(), "time": now()}
        # First the log: whatever comes after it may fail or take its time.
        result["log_problem"] = silent.get("log_file") or append_log(settings.log_file, lines)
        problems += measured.problems
        if alone:
            _store(measured, settings, history, result, problems)
            if "metrics_file" in silent:
                problems.append(silent["metrics_file"])
            else:
                metrics.write_or_report(
                    settings.metrics_file, lambda: disk_lines.gauges(measured), problems
                )
        else:
            problems.append("another run is at work; history and alerts are left to it")
    if result["log_problem"]:
        problems.insert(0, result["log_problem"])
    # The host's own levels decide; unknown is a failure too, because nothing was measured.
    action = "success" if exit_code(measured.level) <= 1 else "fail"
    delivery.ping_or_report(settings.ping_url, action, "\n".join([*lines, *problems]), problems)
    result["problems"] = list(dict.fromkeys(problems))
    _print_result(json.dumps(result) if arguments.json else "\n".join(lines))
    for problem in result["problems"]:
        warn(problem)
    return exit_code(measured.level)


def _plugin(settings: DiskSettings) -> int:
    """Measure, and print the line of a monitoring plugin; nothing is written."""
    problems: list[str] = []
    with _open_stored_history(settings, problems) as history:
        measured = disk_check.measurement(settings, history, time.time())
    problems += measured.problems
    _print_result(disk_lines.nagios(measured, problems))
    return exit_code(disk_lines.plugin_level(measured, problems))


def _plugin_failure(given: Sequence[str], text: str) -> str:
    """Return the line of a plugin that cannot measure; empty where no plugin was requested."""
    return disk_lines.plugin_line(UNKNOWN, text) if "--nagios" in given else ""


@contextlib.contextmanager
def _open_stored_history(settings: DiskSettings, problems: list[str]) -> Iterator[History | None]:
    """Open the history for reading; None where there is none yet, or where it cannot be read."""
    silent = _without_answer(settings, "state_dir")
    if silent:
        problems += silent.values()
        yield None
        return
    with open_history(settings.state_dir, problems, read_only=True) as history:
        yield history


def _without_answer(settings: DiskSettings, *names: str) -> dict[str, str]:
    """Return by setting which paths are on a filesystem that hangs, as texts: to open them would
    block the run for ever."""
    paths = {name: getattr(settings, name) for name in names if getattr(settings, name)}
    found = bounded_calls.results(
        [
            BoundedCall(f"{name} {path}", partial(_reach, path), settings.time_limit)
            for name, path in paths.items()
        ]
    )
    return {
        name: f"{path} is not used in this run: {reason(result.error)} [{name}]"
        for (name, path), result in zip(paths.items(), found, strict=True)
        if isinstance(result.error, TimeoutError)
    }


def _reach(path: str) -> None:
    """Ask the filesystem of a path, or of the nearest folder above it that can be reached."""
    try:
        os.statvfs(path)
    except OSError:
        if path != os.path.dirname(path):
            _reach(os.path.dirname(path))


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
            problems.append(str(error))


def _status(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    _check_settings(settings, arguments.config)
    if arguments.watch is None:
        return _show(settings, arguments.json)
    code, before, after = exit_code(UNKNOWN), "", ""
    if sys.stdout.isatty() and not arguments.json:
        before = "\x1b[H\x1b[2J\x1b[3J"
    # Ctrl-C is the usual end, so it is no failure.
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if not arguments.json:
                values = {"time": now(), "seconds": f"{arguments.watch:g}"}
                tr = translations(settings.language).gettext
                text = tr("%(time)s, again every %(seconds)s s; Ctrl-C ends it") % values
                after = f"\n\n{text}"
            code = _show(settings, arguments.json, before, after)
            time.sleep(arguments.watch)
    return code


def _show(settings: DiskSettings, as_json: bool, before: str = "", after: str = "") -> int:
    """Measure, and print the page or the JSON; return the exit code.

    What stands before and after the page is printed with it, so that a screen is not blank while
    the disks are measured.
    """
    problems: list[str] = []
    moment = time.time()
    with _open_stored_history(settings, problems) as history:
        measured = disk_check.measurement(settings, history, moment)
        states = _states(settings, history)
        days = [disk_lines.days(history, result, moment) for result in measured.results]
    problems += measured.problems
    shown = measured.to_dict()
    for target, values in zip(shown["targets"], days, strict=True):
        target["days"] = values
    levels = {found.key: found.level for found in _conditions(measured, settings)[0]}
    shown |= {"time": now(), "alerts": disk_lines.alerts_in_force(states, moment, levels)}
    backups = shown["backups"] or disk_lines.no_backups(settings, measured)
    if as_json:
        print_result(json.dumps({**shown, "problems": problems}))
    else:
        language = translations(settings.language)
        page = render_disk.dashboard(language, shown, backups, colour(), settings.owner)
        print_result(f"{before}{page}{after}")
        for problem in problems:
            warn(problem)
    return exit_code(measured.level)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise ValueError
    return seconds


def _monitor_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--check", action="store_true", help="check the configuration and exit")
    chosen.add_argument(
        "--forget", action="store_true", help="delete the stored samples and alert state and exit"
    )
    chosen.add_argument(
        "--nagios",
        action="store_true",
        help="measure only, and print one line as a monitoring plugin, with performance data",
    )


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"show it again every so many seconds ({WATCH_SECONDS:g} by default)",
    )


COMMANDS = {
    "monitor-disk-space": Command(
        "measure the disks, log, store samples and send notifications",
        DiskSettings,
        _monitor,
        _monitor_arguments,
        _plugin_failure,
        notifies=True,
    ),
    "disk-status": Command("show the disk dashboard", DiskSettings, _status, _status_arguments),
}
