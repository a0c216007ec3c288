# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 on the host: `monitor-disk-space` and `disk-status`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from typing import Any

from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import OK, UNKNOWN, exit_code
from ..common.locks import single_run
from ..common.system_errors import reason
from ..disk import disk_check
from ..disk.disk_settings import DiskSettings
from ..history.history import History, forget, open_history
from ..notifications import delivery, metrics, notify
from ..notifications.alerts import Condition
from ..pages import disk_lines, render
from .command import Command, OutputError, append_log, colour, now, tell, warn

NUMBER = (int, float)
THRESHOLD = (int, float, str)
STAGE = "disk"
# Conditions that are questions of their own, told apart from the target's level.
APART = ("dump_fit", "drill_fit", "retention_fit")
WATCH_SECONDS = 5.0


def _conditions(
    look: disk_check.DiskMeasurement, settings: DiskSettings
) -> tuple[list[Condition], dict[str, float]]:
    """What people are told about, and what they are not told about until when."""
    speak = translations(settings.language)
    conditions, silent = [], {}
    for result in look.results:
        groups: dict[str, list[dict[str, Any]]] = {"": []}
        for cause in result.causes:
            groups.setdefault(cause["code"] if cause["code"] in APART else "", []).append(cause)
        until = look.watch.silences.get(result.path)
        for group, causes in groups.items():
            if causes:
                found = disk_lines.condition(speak, group, result, causes)
                conditions.append(found)
                if until is not None:
                    silent[found.key] = until.timestamp()
    return conditions, silent


def _announced(
    look: disk_check.DiskMeasurement, settings: DiskSettings, history: History | None
) -> notify.NotifyResult:
    conditions, silent = _conditions(look, settings)
    return notify.notify(
        STAGE,
        conditions,
        settings,
        history,
        translations(settings.language),
        now=look.time,
        silent_until=silent,
    )


def _checked(settings: DiskSettings, file: str) -> None:
    """Everything that can be wrong with the settings, said before anything is touched."""
    try:
        _check(settings)
    except ResilienceError as error:
        raise ResilienceError(
            f"{file}: {error.problem}",
            option=error.option,
            value=error.value,
            remedy=error.remedy,
        ) from error


def _check(settings: DiskSettings) -> None:
    translations(settings.language)
    disk_check.validate(settings)
    settings.check_notifications()
    metrics.validate_path(settings.metrics_file, "chefwell_disk.prom")


def _forget(settings: DiskSettings) -> int:
    """Takes what this stage remembers out of the history, which other stages share."""
    if forget(settings.state_dir, STAGE):
        tell("forgotten")
    return exit_code(OK)


def _monitor(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    if arguments.forget:
        return _forget(settings)
    _checked(settings, arguments.config)
    if arguments.check:
        tell("the configuration is right")
        return exit_code(OK)
    if arguments.nagios:
        with open_history(settings.state_dir, []) as history:
            look = disk_check.measurement(settings, history, time.time())
        _tell_or_warn(disk_lines.nagios(look))
        return exit_code(look.level)
    problems: list[str] = []
    delivery.ping_or_report(settings.ping_url, "start", "", problems)
    with (
        single_run(settings.state_dir, STAGE) as alone,
        open_history(settings.state_dir, problems) as history,
    ):
        try:
            look = disk_check.measurement(settings, history, time.time())
        except ResilienceError as error:
            delivery.ping_or_report(settings.ping_url, "fail", str(error), problems)
            raise
        lines = [disk_lines.log_line(now(), result) for result in look.results]
        result: dict[str, Any] = {**look.to_dict(), "time": now()}
        # First the log: whatever comes after it may fail or take its time.
        result["log_problem"] = append_log(settings.log_file, lines)
        problems += look.problems
        if alone:
            _remember(look, settings, history, result, problems)
        else:
            problems.append("another run is at work; history and alerts are left to it")
    if result["log_problem"]:
        problems.insert(0, result["log_problem"])
    # The host's own levels decide; unknown is a failure too, for nobody looked.
    action = "success" if exit_code(look.level) <= 1 else "fail"
    delivery.ping_or_report(settings.ping_url, action, "\n".join([*lines, *problems]), problems)
    result["problems"] = list(dict.fromkeys(problems))
    _tell_or_warn(json.dumps(result) if arguments.json else "\n".join(lines))
    for problem in result["problems"]:
        warn(problem)
    return exit_code(look.level)


def _tell_or_warn(text: str) -> None:
    """Writes the result; a disk too full to take it must not change the exit code that says so."""
    try:
        tell(text)
    except OutputError as error:
        warn(f"the output cannot be written: {reason(error)}")


def _remember(
    look: disk_check.DiskMeasurement,
    settings: DiskSettings,
    history: History | None,
    result: dict[str, Any],
    problems: list[str],
) -> None:
    """Tells people, and then writes down what was measured."""
    outcome = _announced(look, settings, history)
    problems += outcome.problems
    result["alerts"] = disk_lines.alerts_in_force(outcome.states, look.time)
    result["notifications"] = [
        {"kind": one.kind, "key": one.key, "name": one.name, "level": one.level}
        for one in outcome.notifications
    ]
    result["delivered"], result["kept"] = outcome.delivered, outcome.kept
    if history is not None and history.writable:
        try:
            history.add_samples(disk_check.samples(look))
        except ResilienceError as error:
            problems.append(str(error))
    metrics.write_or_report(settings.metrics_file, lambda: disk_lines.gauges(look), problems)


def _status(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    _checked(settings, arguments.config)
    if arguments.watch is None:
        return _shown(settings, arguments.json)
    code, before, after = exit_code(UNKNOWN), "", ""
    if sys.stdout.isatty() and not arguments.json:
        before = "\x1b[H\x1b[2J\x1b[3J"
    # Ctrl-C is how one leaves it, so it is no failure.
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if not arguments.json:
                seen = {"time": now(), "seconds": f"{arguments.watch:g}"}
                say = translations(settings.language).gettext
                said = say("%(time)s, again every %(seconds)s s; Ctrl-C ends it") % seen
                after = f"\n\n{said}"
            code = _shown(settings, arguments.json, before, after)
            time.sleep(arguments.watch)
    return code


def _shown(settings: DiskSettings, as_json: bool, before: str = "", after: str = "") -> int:
    """Looks, and writes the page or the JSON; what stands before and after it goes out with it, so
    that a screen is not blank while the disks are measured."""
    problems: list[str] = []
    moment = time.time()
    with open_history(settings.state_dir, problems) as history:
        look = disk_check.measurement(settings, history, moment)
        states = notify.states_in_force(
            STAGE,
            settings.named_host,
            history,
            settings.fallback_dir,
        )
        days = [disk_lines.days(history, result, moment) for result in look.results]
    shown = look.to_dict()
    for target, values in zip(shown["targets"], days, strict=True):
        target["days"] = values
    levels = {found.key: found.level for found in _conditions(look, settings)[0]}
    shown |= {"time": now(), "alerts": disk_lines.alerts_in_force(states, moment, levels)}
    backups = shown["backups"] or disk_lines.no_backups(settings, look)
    if as_json:
        tell(json.dumps({**shown, "problems": [*problems, *look.problems]}))
    else:
        page = render.dashboard(shown, backups, settings.language, colour())
        tell(f"{before}{page}{after}")
        for problem in [*problems, *look.problems]:
            warn(problem)
    return exit_code(look.level)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise ValueError
    return seconds


def _monitor_arguments(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--check", action="store_true", help="only look whether the configuration is right"
    )
    chosen.add_argument(
        "--forget", action="store_true", help="remove what the monitor remembers, and do no more"
    )
    chosen.add_argument(
        "--nagios",
        action="store_true",
        help="only look, and print one line as a monitoring plugin does, with performance data",
    )


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=WATCH_SECONDS,
        metavar="SECONDS",
        help=f"show it again every so many seconds ({WATCH_SECONDS:g} when not said)",
    )


COMMANDS = {
    "monitor-disk-space": Command(
        "measure, judge, log, remember and tell people",
        DiskSettings,
        _monitor,
        _monitor_arguments,
    ),
    "disk-status": Command("show the disk dashboard", DiskSettings, _status, _status_arguments),
}
