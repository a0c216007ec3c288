# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 on the host: `disk-status`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial

from ..common import interrupt, run_steps
from ..common.language import translations
from ..common.levels import UNKNOWN, exit_code
from ..common.zip_equal import zip_equal
from ..disk import disk_check
from ..disk.disk_settings import DiskSettings
from ..pages import dashboard_values, disk_lines, render_disk
from . import disk_command
from .command import Command, colour, is_terminal, now, print_result, warn_problems
from .page_output import print_page

WATCH_SECONDS = 5.0


def _status(settings: DiskSettings, arguments: argparse.Namespace) -> int:
    disk_command.check_settings(settings, arguments.config)
    if arguments.watch is None:
        return _show(settings, arguments.json)
    code, before, after = exit_code(UNKNOWN), "", ""
    if is_terminal(sys.stdout) and not arguments.json:
        before = "\x1b[H\x1b[2J\x1b[3J"
    # Ctrl-C is the usual end, so it is no failure.
    try:
        while True:
            run_steps.begin_round()
            if not arguments.json:
                values = {"time": now(), "seconds": f"{arguments.watch:g}"}
                tr = translations(settings.language).gettext
                text = tr("%(time)s, again every %(seconds)s s; Ctrl-C ends it") % values
                after = f"\n\n{text}"
            code = _show(settings, arguments.json, before, after)
            time.sleep(arguments.watch)
    except KeyboardInterrupt:
        interrupt.begin_cleanup()
    return code


def _show(settings: DiskSettings, as_json: bool, before: str = "", after: str = "") -> int:
    """Measure, and print the page or the JSON; return the exit code.

    What stands before and after the page is printed with it, so that a screen is not blank while
    the disks are measured.
    """
    problems: list[str] = []
    moment = time.time()
    with disk_command.open_stored_history(settings, problems) as history:
        measured = disk_check.measurement(settings, history, moment)
        states = disk_command.alert_states(settings, history)
        days = [dashboard_values.days(history, result, moment) for result in measured.results]
    problems += measured.problems
    shown = measured.to_dict()
    for target, values in zip_equal(shown["targets"], days):
        target["days"] = values
    levels = {found.key: found.level for found in disk_command.conditions(measured, settings)[0]}
    shown |= {"time": now(), "alerts": disk_lines.alerts_in_force(states, moment, levels)}
    backups = shown["backups"] or dashboard_values.no_backups(settings, measured)
    if as_json:
        print_result(json.dumps({**shown, "problems": problems}))
    else:
        page = partial(
            render_disk.dashboard, shown, backups, settings.language, colour(), settings.owner
        )
        print_page(lambda: f"{before}{page()}{after}")
        warn_problems(settings, problems)
    return exit_code(measured.level)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise ValueError
    return seconds


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
    "disk-status": Command(
        "show the disk dashboard",
        DiskSettings,
        _status,
        _status_arguments,
        limits=lambda settings: (settings.run_time_limit, settings.time_limit),
    ),
}
