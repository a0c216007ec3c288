# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call a function of the engine in a process of its own, which is left behind when it blocks.

Such as one that reads a filesystem whose daemon hangs: the kernel then keeps its process in state D
(proc(5)), where not even SIGKILL ends it. The commands that read disks have a supervisor for that;
an Ansible module calls this. The process is this file, run as a program: the function's name and
arguments on standard input, its value or its error on standard output, both as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from . import engine_program, process_tree
from .errors import ResilienceError
from .messages import _
from .process import TimeLimitError, blocks, cannot_run_error, output_of
from .safe_text import error_line

# Seconds for the process to end by itself once it has reported.
EXIT_SECONDS = 1.0


def value(function: Callable[..., Any], *arguments: object, time_limit: float) -> Any:
    """Return what a function of the engine returns, called in a process of its own.

    Args:
        function: of a module's top level; it returns what JSON can hold.
        arguments: what JSON can hold.
        time_limit: seconds until it is given up.

    Raises:
        ResilienceError: the function raised it, another error, or did not return in time.
    """
    request = json.dumps([function.__module__, function.__name__, arguments])
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function,consider-using-with
            engine_program.command(__name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=engine_program.environment(),
            cwd=engine_program.FOLDER,
            start_new_session=True,
        )
    except OSError as error:
        raise cannot_run_error(sys.executable, error) from error
    try:
        return _value_of(_reply(process, request.encode(), time_limit))
    finally:
        _leave(process)


def _reply(process: subprocess.Popen[bytes], request: bytes, time_limit: float) -> list[Any]:
    """Send the request; return the reply, which is one line."""
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # it ended, which the lack of a reply shows
            process.stdin.write(request)
            process.stdin.close()
    received = b""
    try:
        for block in blocks(output_of(process), time_limit=time_limit):
            received += block
            if received.endswith(b"\n"):
                reply: list[Any] = json.loads(received)
                return reply
    except TimeLimitError as error:
        raise ResilienceError(
            _("no answer within %(seconds)s s", seconds=f"{time_limit:g}")
        ) from error
    errors = process.stderr.read().decode("utf-8", "backslashreplace") if process.stderr else ""
    raise ResilienceError(
        _("a process of the engine ended early: %(why)s", why=errors.strip().rpartition("\n")[2]),
        option="python",
        value=sys.executable,
        remedy=_("check this interpreter and its libraries"),
    )


def _value_of(reply: list[Any]) -> Any:
    kind, held = reply
    if kind == "value":
        return held
    raise ResilienceError(
        held["problem"], option=held["option"], value=held["value"], remedy=held["remedy"]
    )


def _leave(process: subprocess.Popen[bytes]) -> None:
    """End the process, or leave it behind where it cannot be ended."""
    try:
        process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process_tree.kill_with_descendants(process.pid)
        # Nobody waits for it any more: with an exit code it is none that Python remembers.
        process.returncode = -9
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def main() -> None:
    """Call the requested function and print its value or its error."""
    module, name, arguments = json.load(sys.stdin)
    try:
        reply = ["value", getattr(importlib.import_module(module), name)(*arguments)]
    except ResilienceError as error:
        held = {
            "problem": error.problem,
            "option": error.option,
            "value": error.value,
            "remedy": error.remedy,
        }
        reply = ["error", held]
    except Exception as error:  # whoever called gets one line of it
        held = {"problem": error_line(error, 400), "option": None, "value": None, "remedy": None}
        reply = ["error", held]
    sys.stdout.write(json.dumps(reply, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
