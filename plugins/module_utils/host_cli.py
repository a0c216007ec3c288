# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's door to the engine: configuration file, engine call, page, log line, exit code.

Runs as `python3 -m chefwell_resilience.host_cli COMMAND --config FILE`; the `.sh` launchers of the
plan do just that. Each stage's commands are in a file of their own, `commands_<stage>.py`.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from .commands.command import EXIT_UNKNOWN, Command, warn
from .common import config
from .common.errors import ResilienceError

STAGES = ("disk", "offsite", "staging", "manifest", "recovery", "checkpoint", "keeper")
# The stage of the commands that run most often, so that a run loads no other stage's code.
STAGE_OF = {
    "monitor-disk-space": "disk",
    "disk-status": "disk",
    "sync-backups-offsite": "offsite",
    "verify-offsite-backups": "offsite",
}


def _commands(wanted: str = "") -> dict[str, Command]:
    found: dict[str, Command] = {}
    for stage in (STAGE_OF[wanted],) if wanted in STAGE_OF else STAGES:
        found |= importlib.import_module(f".commands.commands_{stage}", __package__).COMMANDS
    return found


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; those of the process when left out.

    Returns:
        The exit code: 0 ok, 1 warning, 2 critical or emergency, 3 could not tell.
    """
    given = sys.argv[1:] if argv is None else argv
    commands = _commands(given[0] if given else "")
    parser = argparse.ArgumentParser(prog="chefwell-resilience")
    choices = parser.add_subparsers(dest="command", required=True)
    for name, command in commands.items():
        chosen = choices.add_parser(name, help=command.summary, description=command.summary)
        chosen.add_argument("--config", required=True, help="the stage's configuration file")
        chosen.add_argument("--json", action="store_true", help="print the result as JSON")
        command.arguments(chosen)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as leave:
        # argparse leaves with 2 on bad usage, which monitoring reads as "critical".
        return 0 if leave.code == 0 else EXIT_UNKNOWN
    # So that a command that is told to end cleans up behind itself as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    command = commands[arguments.command]
    try:
        return command.run(config.load(arguments.config, dict(command.keys)), arguments)
    except ResilienceError as error:
        warn(f"{arguments.command}: {error}")
        return EXIT_UNKNOWN
    except KeyboardInterrupt:
        warn(f"{arguments.command}: stopped before the end")
        return EXIT_UNKNOWN


if __name__ == "__main__":
    raise SystemExit(main())
