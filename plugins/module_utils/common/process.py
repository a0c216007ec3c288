# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run other programs under a time limit, and leave none of their children behind.

A `pg_restore` that meets one flipped bit can spin for ever, and an `ssh` to a dead host can wait
for ever; so nothing here runs another program without a limit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from .errors import ResilienceError
from .messages import _
from .system_errors import reason

# The kernel lets a pipe hold as much (fcntl(2), F_SETPIPE_SZ; /proc/sys/fs/pipe-max-size); Python
# names it since 3.10.
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
# Seconds between two looks of whoever watches a program.
TICK = 0.1
# How a program ends that something outside cut off: by these signals, which a sandbox and a
# container give as 128 and the number; Docker's command so where its engine ends meanwhile.
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
CUT_OFF = (*(-one for one in _SIGNALS), *(128 + one for one in _SIGNALS), 125)


class ProcessResult(NamedTuple):
    """The end of a program.

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

    @property
    def cut_off(self) -> bool:
        """Return whether something outside ended it: an engine, or the kernel for memory."""
        return not self.timed_out and self.code in CUT_OFF

    def ending(self) -> str:
        """Return how the program ended: `exit 1`, `signal SIGSEGV`, `time limit`."""
        if self.timed_out:
            return "time limit"
        if self.code < 0:
            return f"signal {signal.Signals(-self.code).name}"
        return f"exit {self.code}"


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill a program that was started in a session of its own, with its children.

    Where it has ended already, the children that it left behind are killed.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cannot_run_error(program: str, error: OSError) -> ResilienceError:
    """Return the error for a program that the system does not run."""
    return ResilienceError(
        _("a program cannot be run: %(why)s", why=reason(error)),
        option="command",
        value=program,
        remedy=_("install it, or give its full path"),
    )


@contextlib.contextmanager
def running_program(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Run a program in a session of its own; when the block is left, it and its children are gone.

    Args:
        arguments: the program and its arguments.
        options: those of `subprocess.Popen`.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    try:
        # The engine runs without Ansible, so `run_command` of its modules is not there.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(arguments), start_new_session=True, **options
        )
    except OSError as error:
        raise cannot_run_error(arguments[0], error) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def output_of(running: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the standard output of a program that was started with a pipe for it."""
    if running.stdout is None:
        raise ValueError("the program was started without a pipe for its output")
    return running.stdout


def input_of(running: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return the standard input of a program that was started with a pipe for it."""
    if running.stdin is None:
        raise ValueError("the program was started without a pipe for its input")
    return running.stdin


class TimeLimitError(Exception):
    """A program took longer than its time limit.

    Attributes:
        seconds: the limit.
        silent: whether it is the limit for a time without output, not that for the whole run.
    """

    def __init__(self, seconds: float, *, silent: bool) -> None:
        super().__init__(f"{'silent' if silent else 'at work'} for {seconds:g} s")
        self.seconds = seconds
        self.silent = silent


def write_input(process: subprocess.Popen[Any], text: Iterable[bytes]) -> threading.Thread:
    """Write a program's standard input while its output is read.

    Args:
        process: one whose input is no pipe gets nothing.
        text: all parts of the input; it is closed afterwards.

    Returns:
        The thread that writes: to be joined once the program has ended.
    """

    def write() -> None:
        if process.stdin:
            # It has ended; its exit code shows why.
            with contextlib.suppress(OSError, ValueError), process.stdin as stream:
                stream.writelines(text)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    return writer


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold 1 MB, as far as the user's pipes have no limit: fewer turns of who writes
    and who reads."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)


def blocks(
    stream: IO[bytes], *, time_limit: float, silence: float | None = None, size: int = 1 << 16
) -> Iterator[bytes]:
    """Yield the output of a program, block by block, as it comes.

    Args:
        stream: a pipe from it.
        time_limit: seconds for all of it.
        silence: seconds in which it must write something.
        size: bytes of a block at most.

    Raises:
        TimeLimitError: it wrote nothing, or did not end, in time. It still runs: whoever started
            it ends it.
    """
    end = time.monotonic() + time_limit
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            left = end - time.monotonic()
            waits = min(left, silence or left)
            if not selector.select(max(0.0, waits)):
                silent = waits < left
                raise TimeLimitError(silence if silent and silence else time_limit, silent=silent)
            block = os.read(stream.fileno(), size)
            if not block:
                return
            yield block


def run(
    arguments: Sequence[str],
    *,
    time_limit: float,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
    input: bytes | None = None,
    cwd: str | None = None,
    undecodable: str = "backslashreplace",
    watch: Callable[[], object] | None = None,
) -> ProcessResult:
    """Run a program to its end, or to the time limit.

    Args:
        arguments: the program and its arguments.
        time_limit: seconds; after them the program and all its children are killed.
        env: its environment; that of this process when left out.
        stdin, stdout: its input and output; by default none and captured.
        input: bytes for its standard input.
        cwd: the folder that it starts in.
        undecodable: what becomes of output that is no UTF-8, as `bytes.decode` takes it.
        watch: called a few times a second meanwhile; what it raises ends the program.

    Raises:
        ResilienceError: the program does not exist or may not be run.
    """
    if input is not None:
        stdin = subprocess.PIPE
    with running_program(
        arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=env, cwd=cwd
    ) as process:
        timed_out = False
        end = time.monotonic() + time_limit
        while True:
            left = end - time.monotonic()
            try:
                output, errors = process.communicate(input, min(left, TICK) if watch else left)
                break
            except subprocess.TimeoutExpired:
                # What was not written yet is kept by it.
                input = None
                if watch:
                    watch()
                if time.monotonic() >= end:
                    timed_out = True
                    kill_group(process)
                    output, errors = process.communicate()
                    break
    return ProcessResult(
        process.returncode,
        (output or b"").decode("utf-8", undecodable),
        (errors or b"").decode("utf-8", "backslashreplace"),
        timed_out,
    )
