# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all host commands share: description, output, log."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, NamedTuple

from ..common import unforeseen
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.mask import mask
from ..common.messages import _, translate
from ..common.system_errors import reason

# Exit codes, by the monitoring-plugins convention.
EXIT_OK, EXIT_WARNING, EXIT_CRITICAL, EXIT_UNKNOWN = 0, 1, 2, 3

# The daemons of cron, cronie, anacron and fcron, as proc(5) names them. Each sends a mail with
# whatever its jobs print.
CRON = (b"cron", b"crond", b"anacron", b"fcron")


class Command(NamedTuple):
    """One command of a host.

    Attributes:
        summary: one line for `--help`.
        settings: the class of its stage's settings.
        run: does it, given the configuration and the arguments; returns the exit code.
        arguments: adds the command's own arguments to its parser.
        failure: returns what to print to standard output when the command cannot run, given its
            arguments and the reason; empty for nothing.
        notifies: whether it sends notifications, and so has `--test-message`.
        limits: returns the seconds that a run may take, and those of a filesystem, given the
            configuration; only for a command with a supervisor.
        check: raises ResilienceError where the configuration is wrong in what its class cannot see;
            given the configuration and its file.
    """

    summary: str
    settings: type[Any]
    run: Callable[[Any, argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], object] = lambda parser: None
    failure: Callable[[Sequence[str], str], str] = lambda given, text: ""
    notifies: bool = False
    limits: Callable[[Any], tuple[float, float]] | None = None
    check: Callable[[Any, str], object] = lambda values, path: None


class OutputError(OSError):
    """The output cannot be written: its disk is full, or nobody reads it any more."""


def print_result(text: str, end: str = "\n") -> None:
    """Write a command's result to standard output, at once.

    Raises:
        OutputError: it cannot be written.
    """
    if sys.stdout is None:  # the command was started with it closed
        return
    try:
        sys.stdout.write(mask(text) + end)
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        raise OutputError(error.errno, error.strerror) from error


def warn(text: str, end: str = "\n") -> None:
    """Write what is no result (progress, a problem) to standard error, at once, if it takes it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(mask(text) + end)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def in_language(values: Any, text: str) -> str:
    """Return a text in the language of a stage's pages.

    Args:
        values: settings of the stage; without a language the text stays English.
        text: translated if it is a message.
    """
    return translate(translations(getattr(values, "language", "en")), text)


def warn_problems(values: Any, problems: Iterable[str]) -> None:
    """Write the problems of a run to standard error, in the language of the stage's pages."""
    for problem in problems:
        warn(in_language(values, problem))


def warn_unforeseen(name: str, error: BaseException) -> str:
    """Report an exception that no code foresaw, on one line; return what it says of it.

    Args:
        name: of the command.
        error: the exception.
    """
    warn(f"{name}: {unforeseen.report(error)}")
    return unforeseen.explained(error)[0]


def _discard(stream: IO[str]) -> None:
    """Send what a stream still holds nowhere.

    Otherwise the interpreter tries to write it again when it ends, and makes that its exit code.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def check_notifications(settings: Any, path: str) -> None:
    """Check the addresses that a stage notifies.

    Args:
        settings: of the stage.
        path: its configuration file.

    Raises:
        ResilienceError: one is wrong; names it and the file.
    """
    try:
        settings.check_notifications()
        settings.validate_services()
    except ResilienceError as error:
        raise error.of_file(path) from error


def now() -> str:
    """Return the local time with its offset, ISO 8601, to the second."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def colour() -> bool:
    """Return whether to print colour: only to a terminal that knows it, and not with NO_COLOR
    (no-color.org)."""
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return is_terminal(sys.stdout) and not refused


def is_terminal(stream: IO[str] | None) -> bool:
    """Return whether a stream leads to a terminal; it is None where it was closed at the start."""
    return stream is not None and stream.isatty()


def started_by_cron() -> bool:
    """Return whether cron is among the ancestors of this process; False where that is unknown."""
    pid = os.getppid()
    while pid > 1:
        try:
            file = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
            try:
                before, _end, after = os.read(file, 512).rpartition(b")")
            finally:
                os.close(file)
            name, pid = before.partition(b"(")[2].lower(), int(after.split()[1])
        except (OSError, IndexError, ValueError):
            return False
        if name in CRON:
            return True
    return False


def append_log(path: str, lines: Iterable[str]) -> str | None:
    """Append lines to a log.

    Returns:
        None, or why it could not be written. It is no exception because a full disk must not
        silence the command that found it full.
    """
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as log:
            log.writelines(f"{mask(line)}\n" for line in lines)
    except OSError as error:
        return _("the log %(path)s cannot be written: %(why)s", path=path, why=reason(error))
    return None
