# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's list "System working" on the host: `checkpoint`."""

from __future__ import annotations

import argparse
import datetime
import json
from typing import Any

from ..checkpoint import checkpoint, checkpoint_settings
from ..common.config import Key
from ..common.errors import ResilienceError
from ..pages.render_checkpoint import checkpoint_page
from .command import EXIT_CRITICAL, EXIT_OK, EXIT_UNKNOWN, Command, colour, tell

_DEFAULT = checkpoint_settings.CheckpointSettings()
KEYS = {
    "api_url": Key(str, _DEFAULT.api_url),
    "api_email": Key(str, _DEFAULT.api_email),
    "api_password": Key(str, _DEFAULT.api_password),
    "api_verify_tls": Key(bool, _DEFAULT.api_verify_tls),
    "api_steps": Key(list, []),
    "test_order": Key(bool, _DEFAULT.test_order),
    "services": Key(list, []),
    "log_sources": Key(list, []),
    "log_pattern": Key(str, _DEFAULT.log_pattern),
    "log_ignore": Key(list, []),
    "log_seconds": Key((int, float), _DEFAULT.log_seconds),
    "postgres": Key(dict, {}),
    "docker_url": Key(str, ""),
    "items": Key(list, list(checkpoint_settings.ITEMS)),
    "time_limit": Key((int, float), _DEFAULT.time_limit),
    "tries": Key(int, _DEFAULT.tries),
    "retry_seconds": Key((int, float), _DEFAULT.retry_seconds),
    "language": Key(str, "pt_BR"),
}
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
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise ResilienceError(
            "this is not a time",
            option="--since",
            value=text,
            remedy="give one such as 2025-11-20T15:30:00",
        ) from error


def _checkpoint(settings: dict[str, Any], arguments: argparse.Namespace) -> int:
    language = settings.pop("language")
    settings["docker_url"] = settings["docker_url"] or None
    result = checkpoint.run(
        checkpoint_settings.CheckpointSettings(**settings),
        since=_moment(arguments.since),
        read_only=arguments.read_only,
    ).to_dict()
    if arguments.json:
        tell(json.dumps(result))
    else:
        tell(checkpoint_page(result, language, colour()))
    return _EXITS.get(result["status"], EXIT_UNKNOWN)


COMMANDS = {
    "checkpoint": Command("check whether the system works", KEYS, _checkpoint, _arguments),
}
