# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line on a host: configuration file, engine call, page, log line, exit code.

Runs as `launch.py host_cli COMMAND --config FILE`; the `.sh` launchers of the plan do just that.
The commands are in `commands/commands_<name>.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from .commands.command import (
    EXIT_OK,
    EXIT_UNKNOWN,
    Command,
    OutputError,
    in_language,
    print_result,
    warn,
    warn_unforeseen,
)
from .common import interrupt, run_steps, settings, standard_streams
from .common.errors import ResilienceError
from .common.messages import _
from .common.system_errors import reason

# The files of the commands, `commands/commands_<name>.py`.
COMMAND_FILES = (
    "disk_monitor",
    "disk_status",
    "offsite",
    "sealing",
    "staging",
    "manifest",
    "recovery",
    "checkpoint",
    "server",
    "doctor",
)
# Commands that run often, or on a server that has none of the libraries of the others: only the
# code of their own file is loaded for them.
FILE_OF = {
    "monitor-disk-space": "disk_monitor",
    "disk-status": "disk_status",
    "sync-backups-offsite": "offsite",
    "verify-offsite-backups": "offsite",
    "keep-offsite-copy": "server",
    "seal-keys": "sealing",
    "doctor": "doctor",
}


def _part(name: str) -> ModuleType:
    """Return a file of `commands/`, loaded only where it is needed."""
    return importlib.import_module(f".commands.{name}", __package__)


def commands_for(name: str = "") -> dict[str, Command]:
    """Return commands by name: those of the named one's file if `FILE_OF` has it, else all."""
    found: dict[str, Command] = {}
    for file in (FILE_OF[name],) if name in FILE_OF else COMMAND_FILES:
        found |= _part(f"commands_{file}").COMMANDS
    return found


def _help_formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter as wide as the terminal.

    argparse makes one for each argument, and loads archivers (by `shutil`) to find the width.
    """
    try:
        columns = os.get_terminal_size().columns
    except OSError:
        columns = 80
    return argparse.HelpFormatter(prog, width=columns - 2)


def parse(given: Sequence[str], commands: Mapping[str, Command]) -> argparse.Namespace | int:
    """Return the parsed arguments, or the exit code where they are wrong or request help."""
    parser = argparse.ArgumentParser(prog="chefwell-resilience", formatter_class=_help_formatter)
    choices = parser.add_subparsers(dest="command", required=True)
    for name, command in commands.items():
        chosen = choices.add_parser(
            name,
            help=command.summary,
            description=command.summary,
            formatter_class=_help_formatter,
        )
        chosen.add_argument("--config", required=True, help="the stage's configuration file")
        chosen.add_argument("--json", action="store_true", help="print the result as JSON")
        chosen.add_argument("--check", action="store_true", help="check the configuration and exit")
        command.arguments(chosen)
        if command.notifies:
            chosen.add_argument(
                "--test-message",
                action="store_true",
                help="send one message to every address, print the result of each, and exit",
            )
    # argparse takes the value of `--option=--` for none at all.
    before = given[: given.index("--")] if "--" in given else given
    wrong = next((one for one in before if one.startswith("--") and one.endswith("=--")), None)
    try:
        if wrong:
            parser.error(f"argument {wrong[:-3]}: '--' is no value")
        return parser.parse_args(given)
    except SystemExit as leave:
        # argparse leaves with 2 on bad usage, which monitoring reads as "critical".
        return 0 if leave.code == 0 else EXIT_UNKNOWN


def fail(command: Command, given: Sequence[str], text: str) -> None:
    """Print what the command's readers need on standard output when it cannot run."""
    line = command.failure(given, text)
    if line:
        with contextlib.suppress(OutputError):
            print_result(line)


def unfinished(problem: str) -> int:
    """Report that the command of this process did not come to its end; return the exit code."""
    given = sys.argv[1:]
    warn(f"{given[0]}: {problem}")
    fail(commands_for(given[0])[given[0]], given, problem)
    return EXIT_UNKNOWN


def _report_of_thread(given: Any) -> None:
    """Report what ended a thread, on one line (`threading.excepthook`)."""
    if given.exc_value is not None and given.exc_type is not SystemExit:
        warn_unforeseen(given.thread.name if given.thread else "thread", given.exc_value)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name; those of the process when left out.

    Returns:
        The exit code: 0 ok, 1 warning, 2 critical or emergency, 3 unknown.
    """
    given = sys.argv[1:] if argv is None else argv
    standard_streams.replace_what_they_cannot_show()
    commands = commands_for(given[0] if given else "")
    if "threading" in sys.modules:  # what has threads of its own loads it
        sys.modules["threading"].excepthook = _report_of_thread  # type: ignore[attr-defined]
    arguments = parse(given, commands)
    if isinstance(arguments, int):
        if arguments != EXIT_OK and given and given[0] in commands:
            fail(commands[given[0]], given, "the arguments are wrong, see standard error")
        return arguments
    # A command that is sent SIGTERM cleans up as it does on Ctrl-C.
    interrupt.listen()
    command, values = commands[arguments.command], None
    try:
        values = settings.load(arguments.config, command.settings)
        if command.limits:
            run_steps.limit_run(*command.limits(values))
        if arguments.check:
            command.check(values, arguments.config)
            print_result(in_language(values, _("the configuration is right")))
            return EXIT_OK
        if command.notifies and arguments.test_message:
            return int(_part("command_test_message").print_test_messages(values, arguments.json))
        return command.run(values, arguments)
    except ResilienceError as error:
        # What programs read is English.
        language = None if arguments.json else values
        warn(f"{arguments.command}: {in_language(language, error.message())}")
        fail(command, given, str(error))
        return EXIT_UNKNOWN
    except OutputError as error:
        problem = _("the output cannot be written: %(why)s", why=reason(error))
        warn(f"{arguments.command}: {in_language(values, problem)}")
        return EXIT_UNKNOWN
    except KeyboardInterrupt:
        stopped = in_language(values, _("stopped before the end"))
        warn(f"{arguments.command}: {stopped}")
        return EXIT_UNKNOWN
    except Exception as error:  # people get one line, not a traceback
        fail(command, given, warn_unforeseen(arguments.command, error))
        return EXIT_UNKNOWN


if __name__ == "__main__":
    exit_code = main()
    interrupt.ignore()
    raise SystemExit(exit_code)
