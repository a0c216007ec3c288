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
import gc
import importlib
import os
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

from .commands.command import EXIT_UNKNOWN, Command, OutputError, warn
from .common import config, interrupt, libraries
from .common.errors import ResilienceError
from .common.system_errors import reason

STAGES = ("disk", "offsite", "staging", "manifest", "recovery", "checkpoint", "server")
# The stage of the commands that run most often, and of the one that runs where no library but
# Python's own need be: these runs load no other stage's code.
STAGE_OF = {
    "monitor-disk-space": "disk",
    "disk-status": "disk",
    "sync-backups-offsite": "offsite",
    "verify-offsite-backups": "offsite",
    "keep-offsite-copy": "server",
}
# Stages whose commands ask for a library when they want one, so that a run without need has none.
SPARING = ("disk",)


def commands_for(wanted: str = "") -> dict[str, Command]:
    """The commands, by name: of the wanted one's stage where that is known beforehand, else all."""
    if STAGE_OF.get(wanted) not in SPARING:
        libraries.reach()
    found: dict[str, Command] = {}
    for stage in (STAGE_OF[wanted],) if wanted in STAGE_OF else STAGES:
        found |= importlib.import_module(f".commands.commands_{stage}", __package__).COMMANDS
    return found


def plain(given: Sequence[str], commands: Mapping[str, Command]) -> Any:
    """The arguments of `COMMAND --config FILE`, which is all that cron gives: to load a parser for
    them would take as long as to measure the disks. None where there is more to parse."""
    if len(given) != 3 or given[1] != "--config" or given[2].startswith("-"):
        return None
    command = commands.get(given[0])
    if command is None or command.defaults is None:
        return None

    return types.SimpleNamespace(command=given[0], config=given[2], json=False, **command.defaults)


def parsed(given: Sequence[str], commands: Mapping[str, Command]) -> argparse.Namespace | int:
    """The arguments, or the exit code where they were wrong or only asked for help."""

    parser = argparse.ArgumentParser(prog="chefwell-resilience")
    choices = parser.add_subparsers(dest="command", required=True)
    for name, command in commands.items():
        chosen = choices.add_parser(name, help=command.summary, description=command.summary)
        chosen.add_argument("--config", required=True, help="the stage's configuration file")
        chosen.add_argument("--json", action="store_true", help="print the result as JSON")
        command.arguments(chosen)
    try:
        return parser.parse_args(given)
    except SystemExit as leave:
        # argparse leaves with 2 on bad usage, which monitoring reads as "critical".
        return 0 if leave.code == 0 else EXIT_UNKNOWN


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments after the program's name; those of the process when left out.

    Returns:
        The exit code: 0 ok, 1 warning, 2 critical or emergency, 3 could not tell.
    """
    given = sys.argv[1:] if argv is None else argv
    commands = commands_for(given[0] if given else "")
    arguments = plain(given, commands) or parsed(given, commands)
    if isinstance(arguments, int):
        return arguments
    # So that a command that is told to end cleans up behind itself as it does on Ctrl-C.
    interrupt.listen()
    command = commands[arguments.command]
    try:
        return command.run(config.load(arguments.config, dict(command.keys)), arguments)
    except ResilienceError as error:
        warn(f"{arguments.command}: {error}")
        return EXIT_UNKNOWN
    except OutputError as error:
        warn(f"{arguments.command}: the output cannot be written: {reason(error)}")
        return EXIT_UNKNOWN
    except KeyboardInterrupt:
        warn(f"{arguments.command}: stopped before the end")
        return EXIT_UNKNOWN


def look_once() -> None:
    """Runs the command, and ends the process without taking the interpreter apart.

    One look is over before there is garbage, and a tenth of it was spent searching for some; what
    it holds was freed piece by piece at the end, which was another tenth. All files are closed by
    then, and what was told is written out (`tell`) or never will be.
    """
    gc.disable()
    code = main()
    os._exit(code)


if __name__ == "__main__":
    if sys.argv[1:2] == ["monitor-disk-space"]:
        look_once()
    raise SystemExit(main())
