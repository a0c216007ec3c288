# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's list "System working" on the host: `checkpoint`."""

from __future__ import annotations

import argparse
import json

from ..checkpoint import checkpoint
from ..checkpoint.checkpoint_settings import CheckpointSettings
from ..common import iso_time
from ..common.errors import ResilienceError
from ..pages.render_checkpoint import checkpoint_page
from .command import EXIT_CRITICAL, EXIT_OK, EXIT_UNKNOWN, Command, colour, print_result
from .page_output import print_page

_EXITS = {"passed": EXIT_OK, "failed": EXIT_CRITICAL}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="errors in the logs count from then on: ISO 8601 local time, or Unix time",
    )
    parser.add_argument(
        "--read-only", action="store_true", help="make no test order, even if one is configured"
    )


def _moment(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return iso_time.parse(text).timestamp()
    except ValueError as error:
        raise ResilienceError(
            "this is not a time",
            option="--since",
            value=text,
            remedy="give one such as 2025-11-20T15:30:00",
        ) from error


def _checkpoint(settings: CheckpointSettings, arguments: argparse.Namespace) -> int:
    result = checkpoint.run(
        settings,
        since=_moment(arguments.since),
        read_only=arguments.read_only,
    ).to_dict()
    if arguments.json:
        print_result(json.dumps(result))
    else:
        print_page(lambda: checkpoint_page(result, settings.language, colour()))
    return _EXITS.get(result["status"], EXIT_UNKNOWN)


COMMANDS = {
    "checkpoint": Command(
        "check whether the system works", CheckpointSettings, _checkpoint, _arguments
    ),
}
