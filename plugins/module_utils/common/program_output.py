# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the output of a program as a stream; it fails where the program does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from . import process
from .stop import Stop


class ProgramFailedError(Exception):
    """A program whose output was read failed; the text is how it ended and its last line.

    Attributes:
        cut_off: whether something outside ended it.
    """

    def __init__(self, text: str, *, cut_off: bool = False) -> None:
        super().__init__(text)
        self.cut_off = cut_off


@contextlib.contextmanager
def program_output(
    arguments: Sequence[str],
    *,
    time_limit: float,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stop: Stop | None = None,
) -> Iterator[IO[bytes]]:
    """Run a program whose standard output is read to its end within the block.

    Args:
        arguments: the program and its arguments.
        time_limit: seconds; after them the program and all its children are killed.
        env: its environment; that of this process when left out.
        stdin: its standard input.
        stop: ends it early.

    Raises:
        ProgramFailedError: it did not end with exit code 0, or not in time.
        ResilienceError: the program does not exist or may not be run.
        StoppedError: it was stopped before it began; one that is stopped later fails.
    """
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        running = stack.enter_context(
            process.running_program(
                arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, env=env
            )
        )
        timed_out = threading.Event()

        def kill() -> None:
            timed_out.set()
            process.kill_group(running)

        if stop:
            stack.enter_context(stop.ending(lambda: process.kill_group(running)))
        timer = threading.Timer(time_limit, kill)
        timer.start()
        try:
            yield process.output_of(running)
            code = running.wait()
        except Exception as error:
            # The reader only sees that the output ended early; the time limit is why.
            if timed_out.is_set():
                raise ProgramFailedError(
                    f"{os.path.basename(arguments[0])} met its time limit"
                ) from error
            # Nor does the reader see that something outside ended the program.
            with contextlib.suppress(subprocess.TimeoutExpired):
                outcome = process.ProcessResult(running.wait(1), "", "")
                if outcome.cut_off:
                    raise ProgramFailedError(
                        f"{os.path.basename(arguments[0])} ended with {outcome.ending()}",
                        cut_off=True,
                    ) from error
            raise
        finally:
            timer.cancel()
        errors.seek(0)
        error_text = errors.read()[-2000:].decode("utf-8", "backslashreplace")
        outcome = process.ProcessResult(code, "", error_text, timed_out.is_set())
        if code != 0:
            last = (error_text.strip().splitlines() or [""])[-1]
            raise ProgramFailedError(
                f"{os.path.basename(arguments[0])} ended with {outcome.ending()}: {last}",
                cut_off=outcome.cut_off,
            )
