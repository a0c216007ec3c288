# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2 on the host: `sync-backups-offsite`, `verify-offsite-backups` and `repair-offsite`.

The server lists its backups while what the commands do is being loaded.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ..common.errors import ResilienceError
from ..offsite import early_listing, offsite_config, offsite_guards
from ..offsite.offsite_config import OffsiteSettings
from .command import Command, check_notifications


def _destination_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--destination",
        action="append",
        default=[],
        metavar="NAME",
        help="only this destination, where there are several; the first is called default",
    )


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    _destination_argument(parser)
    parser.add_argument("--full", action="store_true", help="read everything again, on both sides")


def _check(settings: OffsiteSettings, path: str) -> None:
    check_notifications(settings, path)
    try:
        offsite_config.check(settings)
    except ResilienceError as error:
        raise error.of_file(path) from error


def _sync_arguments(parser: argparse.ArgumentParser) -> None:
    _destination_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print what would be done")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="GUARD",
        help=f"let this guard pass once: {', '.join(offsite_guards.GUARDS)}",
    )
    parser.add_argument(
        "--delete-state", action="store_true", help="delete the stored alert state and exit"
    )
    parser.add_argument(
        "--test-connection", action="store_true", help="only log in and print the server's name"
    )


def _runs() -> Any:
    return importlib.import_module(".offsite_runs", __package__)


def _sync(settings: OffsiteSettings, arguments: argparse.Namespace) -> int:
    if arguments.delete_state or arguments.test_connection:
        return int(_runs().sync_offsite(settings, arguments, {}))
    with early_listing.started(settings, arguments.destination) as started:
        return int(_runs().sync_offsite(settings, arguments, started))


def _verify(settings: OffsiteSettings, arguments: argparse.Namespace) -> int:
    with early_listing.started(settings, arguments.destination, digests=True) as started:
        return int(_runs().verify_offsite(settings, arguments, started))


def _repair(settings: OffsiteSettings, arguments: argparse.Namespace) -> int:
    with early_listing.started(settings, arguments.destination) as started:
        return int(_runs().repair_offsite(settings, arguments, started))


COMMANDS = {
    "sync-backups-offsite": Command(
        "copy the backups to the offsite server",
        OffsiteSettings,
        _sync,
        _sync_arguments,
        notifies=True,
        check=_check,
    ),
    "verify-offsite-backups": Command(
        "compare the offsite copy by content",
        OffsiteSettings,
        _verify,
        _verify_arguments,
        notifies=True,
    ),
    "repair-offsite": Command(
        "repair the offsite copy, and list what is left to do",
        OffsiteSettings,
        _repair,
        _verify_arguments,
    ),
}
