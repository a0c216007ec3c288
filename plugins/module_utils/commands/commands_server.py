# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On the backup server: `keep-offsite-copy`, its own daily job."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os

from ..common.errors import ResilienceError
from ..inventory.inventory import readable
from ..notifications import delivery
from ..server import retention, rrsync_features, server_alarms, server_store
from ..server.server_settings import ServerSettings
from .command import (
    EXIT_CRITICAL,
    EXIT_OK,
    EXIT_WARNING,
    Command,
    append_log,
    now,
    print_result,
    warn,
)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept",
        action="store_true",
        help="let the change through that was refused because so much would be moved aside",
    )
    parser.add_argument(
        "--clear", action="store_true", help="clear the alarm of requests that were refused"
    )
    parser.add_argument(
        "--tell",
        action="store_true",
        help="only tell people which alarms there are, and do no more",
    )


def _keep(values: ServerSettings, arguments: argparse.Namespace) -> int:
    values.check_notifications()
    store = server_store.Store(values)
    if arguments.tell:
        return _only_told(store)
    problems: list[str] = []
    delivery.ping_or_report(values.ping_url, "start", "", problems)
    try:
        return _kept(store, values, arguments, problems)
    except (ResilienceError, OSError) as error:
        delivery.ping_or_report(values.ping_url, "fail", str(error), problems)
        raise


def _only_told(store: server_store.Store) -> int:
    problems = server_alarms.tell(store)
    for problem in problems:
        warn(f"{now()} {problem}")
    return EXIT_WARNING if problems else EXIT_OK


def _kept(
    store: server_store.Store,
    values: ServerSettings,
    arguments: argparse.Namespace,
    problems: list[str],
) -> int:
    lines = []
    if arguments.accept:
        settled = retention.accept(store)
        lines.append(
            f"accepted: {len(settled.aside) + len(settled.replaced)} moved to {settled.old_folder}"
            if settled
            else "there is nothing to accept"
        )
    if arguments.clear:
        store.alarm(server_store.REFUSED, None)
    done = retention.tend(store)
    rrsync = rrsync_features.known()
    lines += [
        rrsync_features.sentence(rrsync),
        *(f"dropped {readable(path)}" for path in done.dropped),
        *(f"kept longer, newest good one: {readable(path)}" for path in done.kept_longer),
        *(
            f"ALARM {kind} since {a['since']}: {a['saw']}"
            for kind, a in sorted(done.alarms.items())
        ),
        f"read {done.read} backups again, dropped {len(done.dropped)} files that were kept "
        f"{values.keep_days:g} days, {len(done.alarms)} alarms",
    ]
    problems += server_alarms.tell(store)
    delivery.ping_or_report(
        values.ping_url, "fail" if done.alarms else "success", "\n".join(lines), problems
    )
    lines += problems
    # Cron mails what is written, so a quiet day is a silent one.
    problem = append_log(os.path.join(store.own, "keeper.log"), [f"{now()} {one}" for one in lines])
    if problem:
        problems.append(problem)
        lines.append(problem)
    if arguments.json:
        print_result(
            json.dumps({**dataclasses.asdict(done), "rrsync": rrsync, "problems": problems})
        )
    elif done.alarms or problems or arguments.accept or os.isatty(1):
        print_result("\n".join(lines))
    if done.alarms:
        return EXIT_CRITICAL
    return EXIT_WARNING if problems else EXIT_OK


COMMANDS = {
    "keep-offsite-copy": Command(
        "look after the copy on the backup server", ServerSettings, _keep, _arguments
    ),
}
