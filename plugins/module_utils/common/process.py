# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs other programs under a time limit, and leaves none of their children behind.

A `pg_restore` that meets one flipped bit can spin for ever, and an `ssh` to a dead host can wait
for ever; so nothing here runs another program without a limit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from .errors import ResilienceError
from .messages import _
from .system_errors import reason


@dataclasses.dataclass(frozen=True)
class ProcessResult:
    """How a program ended.

    Attributes:
        code: its exit code; negative is the signal that ended it, as in `subprocess`.
        output: its standard output, decoded; bytes that are not UTF-8 are kept as escapes.
        errors: its standard error, decoded the same way.
        timed_out: whether the time limit ended it.
    """

    code: int
    output: str
    errors: str
    timed_out: bool = False

    def ending(self) -> str:
        """In words how the program ended: `exit 1`, `signal SIGSEGV`, `time limit`."""
        if self.timed_out:
            return "time limit"
        if self.code < 0:
            return f"signal {signal.Signals(-self.code).name}"
        return f"exit {self.code}"


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ends a program that was started in a session of its own, its children included; where it has
    ended already, those that it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cannot_run(program: str, error: OSError) -> ResilienceError:
    """What is said of a program that the system does not run."""

    return ResilienceError(
        _("a program cannot be run: %(why)s", why=reason(error)),
        option="command",
        value=program,
        remedy=_("install it, or give its full path"),
    )


@contextlib.contextmanager
def started(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A program in a session of its own; when the block is left, it and its children are gone.

    Args:
        arguments: the program and its arguments.
        options: those of `subprocess.Popen`.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    try:
        process = subprocess.Popen(list(arguments), start_new_session=True, **options)
    except OSError as error:
        raise cannot_run(arguments[0], error) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            end_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def output_of(running: subprocess.Popen[bytes]) -> IO[bytes]:
    """The standard output of a program that was started with a pipe for it."""
    if running.stdout is None:
        raise ValueError("the program was started without a pipe for its output")
    return running.stdout


class TooLong(Exception):
    """A program took longer than it may.

    Attributes:
        seconds: the limit.
        silent: whether it is the one for a time without a byte, and not the one for all of it.
    """

    def __init__(self, seconds: float, *, silent: bool) -> None:
        super().__init__(f"{'silent' if silent else 'at work'} for {seconds:g} s")
        self.seconds = seconds
        self.silent = silent


def feed(process: subprocess.Popen[Any], text: bytes) -> threading.Thread:
    """Tells a program all that it waits for on its standard input, while what it says is read.

    Args:
        process: which is told nothing where its input is no pipe.
        text: what it is told; then its input ends.

    Returns:
        The thread that does so: to be joined once the program has ended.
    """

    def tell() -> None:
        with contextlib.suppress(OSError, ValueError):  # it is gone: its ending tells why
            if process.stdin:
                process.stdin.write(text)
                process.stdin.close()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    return teller


def blocks(
    stream: IO[bytes], *, time_limit: float, silence: float | None = None
) -> Iterator[bytes]:
    """What a program writes, block by block, as it comes.

    Args:
        stream: a pipe from it.
        time_limit: seconds for all of it.
        silence: seconds in which it must write something.

    Raises:
        TooLong: it did not, or did not end in time. It runs on: ending it is for whoever began it.
    """
    end = time.monotonic() + time_limit
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = end - time.monotonic()
            waits = min(left, silence or left)
            if not selector.select(max(0.0, waits)):
                silent = waits < left
                raise TooLong(silence if silent and silence else time_limit, silent=silent)
            block = os.read(stream.fileno(), 1 << 16)
            if not block:
                return
            yield block


class Ended(Exception):
    """A program whose output was read ended badly; in words how, and its last words."""


@contextlib.contextmanager
def streamed(
    arguments: Sequence[str],
    *,
    time_limit: float,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
) -> Iterator[IO[bytes]]:
    """A program's standard output, to be read to its end within the block.

    Args:
        arguments: the program and its arguments.
        time_limit: seconds; after them the program and all its children are killed.
        env: its environment; ours when left out.
        stdin: what it reads.

    Raises:
        Ended: it did not end with exit 0, or not in time.
        ResilienceError: the program does not exist or may not be run.
    """
    with (
        tempfile.TemporaryFile() as errors,
        started(arguments, stdin=stdin, stdout=subprocess.PIPE, stderr=errors, env=env) as running,
    ):
        timed_out = threading.Event()

        def end() -> None:
            timed_out.set()
            end_group(running)

        timer = threading.Timer(time_limit, end)
        timer.start()
        try:
            yield output_of(running)
            code = running.wait()
        except Exception as error:
            # Who reads sees an early end; why it came early is what counts.
            if timed_out.is_set():
                raise Ended(f"{os.path.basename(arguments[0])} met its time limit") from error
            raise
        finally:
            timer.cancel()
        errors.seek(0)
        said = errors.read()[-2000:].decode("utf-8", "backslashreplace")
        outcome = ProcessResult(code, "", said, timed_out.is_set())
        if code != 0:
            last = (said.strip().splitlines() or [""])[-1]
            raise Ended(f"{os.path.basename(arguments[0])} ended with {outcome.ending()}: {last}")


def run(
    arguments: Sequence[str],
    *,
    time_limit: float,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
    input: bytes | None = None,
    cwd: str | None = None,
) -> ProcessResult:
    """Runs a program to its end, or to the time limit.

    Args:
        arguments: the program and its arguments.
        time_limit: seconds; after them the program and all its children are killed.
        env: its environment; ours when left out.
        stdin, stdout: where it reads and writes; nothing to read and a captured output by default.
        input: bytes for its standard input.
        cwd: the folder that it starts in.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    if input is not None:
        stdin = subprocess.PIPE
    with started(
        arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env, cwd=cwd
    ) as process:
        timed_out = False
        try:
            output, errors = process.communicate(input, timeout=time_limit)
        except subprocess.TimeoutExpired:
            timed_out = True
            end_group(process)
            output, errors = process.communicate()
    return ProcessResult(
        process.returncode,
        (output or b"").decode("utf-8", "backslashreplace"),
        (errors or b"").decode("utf-8", "backslashreplace"),
        timed_out,
    )
