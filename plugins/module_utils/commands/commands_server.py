# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command on the backup server: `keep-offsite-copy`, its daily job."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os

from ..common.errors import ResilienceError
from ..common.messages import join
from ..common.system_errors import reason
from ..inventory.inventory import readable
from ..notifications import metrics, ping
from ..server import client_inventory, placement, rrsync_features, server_job, server_metrics
from ..server import server_notifications as notifications
from ..server.copy_owner import act_as_owner
from ..server.new_alarms import LOG_FILE
from ..server.server_alarms import WARNINGS, Alarm
from ..server.server_job import JobResult
from ..server.server_settings import ServerSettings
from ..server.server_store import Store, WrongCopy
from .command import (
    EXIT_CRITICAL,
    EXIT_OK,
    EXIT_WARNING,
    Command,
    append_log,
    now,
    print_result,
    warn_problems,
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept",
        nargs="?",
        const="",
        metavar="ID",
        help="apply a refused inventory; without ID the only one that waits",
    )
    parser.add_argument(
        "--clear",
        action="store_true",
        help="clear the alarms of what happened once: refused requests, lost backups, damage",
    )
    parser.add_argument(
        "--notify", action="store_true", help="only send the notifications of the alarms"
    )


def _keep(settings: ServerSettings, arguments: argparse.Namespace) -> int:
    act_as_owner(settings.root)
    settings.check_notifications()
    metrics.validate_path(settings.metrics_file, "chefwell_offsite_server.prom")
    if arguments.notify:
        return _notify_only(settings)
    problems: list[str] = []
    lines: list[str] = []
    result: JobResult | None = None
    ping.ping_or_report(settings.ping_url, "start", "", problems)
    try:
        store = Store(settings)
        result = _run_job(store, arguments, lines, problems)
        problems += server_metrics.write_or_report(settings, store, result)
    except WrongCopy as error:
        problems += server_metrics.write_not_mounted(settings)
        problems += notifications.notify_not_mounted(settings, error.message())
        lines.append(str(error))
        raise
    except ResilienceError as error:
        lines.append(str(error))
        raise
    except OSError as error:
        lines.append(reason(error))
        raise ResilienceError(reason(error), option="root", value=settings.root) from error
    finally:
        good = result is not None and not result.alarms
        outcome = "success" if good else "fail"
        ping.ping_or_report(settings.ping_url, outcome, "\n".join(lines), problems)
        if result is None:
            warn_problems(settings, problems)
    # Cron mails what is written, so a quiet day prints nothing.
    lines += problems
    log = os.path.join(store.state_dir, LOG_FILE)
    log_problem = append_log(log, [f"{now()} {line}" for line in lines])
    if log_problem:
        problems.append(log_problem)
        lines.append(log_problem)
    if arguments.json:
        rrsync = rrsync_features.known()
        print_result(
            json.dumps({**dataclasses.asdict(result), "rrsync": rrsync, "problems": problems})
        )
    elif result.alarms or result.over or problems or arguments.accept is not None or os.isatty(1):
        print_result("\n".join(lines))
    if result.alarms.keys() - set(WARNINGS):
        return EXIT_CRITICAL
    if result.alarms:
        return EXIT_WARNING
    return EXIT_WARNING if problems or result.over else EXIT_OK


def _notify_only(settings: ServerSettings) -> int:
    try:
        problems = notifications.notify_alarms(Store(settings))
    except WrongCopy as error:
        problems = notifications.notify_not_mounted(settings, error.message())
    warn_problems(settings, [join([now(), problem], " ") for problem in problems])
    return EXIT_WARNING if problems else EXIT_OK


def _run_job(
    store: Store, arguments: argparse.Namespace, lines: list[str], problems: list[str]
) -> JobResult:
    """Do what was requested, run the daily job, and add the log's lines and the problems."""
    if arguments.accept is not None:
        accepted = placement.accept_refused(store, arguments.accept)
        lines.append(
            f"accepted: {len(accepted.aside) + len(accepted.replaced)} moved to "
            f"{accepted.old_folder}"
            if accepted
            else "there is nothing to accept"
        )
    if arguments.clear:
        server_job.clear(store)
    notified: list[dict[str, Alarm]] = []

    def notify() -> None:
        notified.append(store.alarms.all())
        problems.extend(notifications.notify_alarms(store))

    result = server_job.run(store, notify)
    if notified != [result.alarms]:
        notify()
    problems += store.alarms.problems
    lines += [
        rrsync_features.sentence(rrsync_features.known()),
        *(f"dropped {readable(path)}" for path in result.dropped),
        *(f"kept longer, newest good one: {readable(path)}" for path in result.kept_longer),
        *_alarm_lines("alarm over:", result.over),
        *_alarm_lines("ALARM", result.alarms),
        *(
            f"refused inventory {one.id} of {one.time}: {one.reason}"
            for one in client_inventory.refused(store)
        ),
        *(f"previous version rotten: {readable(path)}" for path in result.rotten_previous),
        _reading_line(result),
        f"read {result.read} backups again, dropped {len(result.dropped)} files that were kept "
        f"{store.settings.keep_days:g} days, {len(result.alarms)} alarms",
    ]
    return result


def _reading_line(result: JobResult) -> str:
    if result.oldest is None:
        return "there is nothing to read"
    if not result.oldest:
        return "some files were not read since they were placed"
    moment = datetime.datetime.fromtimestamp(result.oldest).astimezone()
    return f"every file was read again since {moment.isoformat(timespec='seconds')}"


def _alarm_lines(word: str, alarms: dict[str, Alarm]) -> list[str]:
    return [
        f"{word} {kind} since {alarm.since}: {alarm.reason}"
        for kind, alarm in sorted(alarms.items())
    ]


COMMANDS = {
    "keep-offsite-copy": Command(
        "maintain the copy on the backup server",
        ServerSettings,
        _keep,
        _arguments,
        notifies=True,
    ),
}
