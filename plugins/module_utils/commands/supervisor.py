# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command in a child process that is left behind when it blocks.

The child reports its steps (`common/run_steps.py`) and has its output written by this process, so
that a child that is left behind holds no pipe that others wait for. When a step takes too long,
the child gets SIGKILL, its lock is freed, and the run is repeated without that step.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple, TextIO

from ..common import interrupt, process_tree, run_steps, standard_streams

# Seconds until the settings are read and set a limit.
START_SECONDS = 120.0
# How often a run is repeated without what blocked.
MOST_ATTEMPTS = 5
# Seconds for a child to end by itself after a signal, and after its work.
STOP_SECONDS, EXIT_SECONDS = 15.0, 1.0
# A write of so many bytes to a pipe that takes some does not block (pipe(7), PIPE_BUF).
AT_ONCE = 4096
# Characters of one message: a socket takes about 200 kB, and JSON six bytes for one of them.
MESSAGE = 16_000
# Bytes of the largest message, and of a file descriptor in a message (cmsg(3): an int).
LARGEST, DESCRIPTOR = 1 << 18, 4


class RunEnd(NamedTuple):
    """How a supervised run ended: its exit code, or None and why there is none."""

    code: int | None
    problem: str = ""


def supervise(work: Callable[[], int], start_seconds: float = START_SECONDS) -> RunEnd:
    """Do some work in a child process, within the limit that it sets for itself.

    The child process ends by `SystemExit`, which its caller must not catch.

    Args:
        work: returns an exit code.
        start_seconds: the limit until it sets one.

    Raises:
        SystemExit: in the child process, with the exit code of the work.
    """
    standard_streams.replace_what_they_cannot_show()
    blocked: dict[str, float] = {}
    done: set[str] = set()
    began, limit = time.monotonic(), start_seconds
    for _attempt in range(MOST_ATTEMPTS):
        child = _Child(began, limit)
        if child.pid == 0:
            raise SystemExit(child.work(work, blocked, frozenset(done)))
        try:
            end, limit, began = child.follow(), child.limit, child.began
        finally:
            child.leave()
        done |= child.done
        if end is not None:
            return end
        name, seconds = child.late_step()
        if name in blocked or not name:
            break
        blocked[name] = seconds
    names = ", ".join(blocked) or "no step that may be left out"
    return RunEnd(None, f"the run did not end within its limit of {limit:g} s; blocked: {names}")


class _Child:
    """One attempt: a child process that does the work.

    Attributes:
        pid: its process id; 0 in the child process itself.
        began: when the run began, or its latest round did.
        limit: seconds for all attempts.
        done: the steps that it did.
    """

    def __init__(self, began: float, limit: float) -> None:
        self.limit, self.done = limit, set[str]()
        self.began, self._stop_at = began, float("inf")
        # The steps it is in, the innermost last: name, seconds, and when these are over.
        self._steps: list[tuple[str, float, float]] = []
        self._locks: list[int] = []
        self._code: int | None = None
        self._waited_for = False
        self._received = bytearray(LARGEST)
        self._channel, worker_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            self._channel, worker_end = worker_end, self._channel
        worker_end.close()

    def work(self, work: Callable[[], int], blocked: dict[str, float], done: frozenset[str]) -> int:
        """Do the work, in the child process; return the exit code.

        Args:
            work: returns the exit code.
            blocked: the steps that blocked in earlier attempts, with their seconds.
            done: those that an earlier attempt did.
        """
        # The supervisor alone gets a terminal's signals, and passes each on once.
        os.setpgid(0, 0)
        terminals = [os.isatty(number) for number in (0, 1, 2)]
        _release_descriptors(self._channel.fileno())
        if sys.stdout is not None:
            sys.stdout = _RelayedStream("stdout", self._channel, 1, terminals[1])
        if sys.stderr is not None:
            sys.stderr = _RelayedStream("stderr", self._channel, 2, terminals[2])
        run_steps.begin_run(self._report, blocked, done)
        code = 3
        try:
            code = work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.flush()
        interrupt.ignore()
        self._report(["code", code], ())
        # The supervisor ends this process; where it is gone itself, there is nothing to receive.
        with contextlib.suppress(OSError):
            self._channel.recv(1)
        return code

    def _report(self, message: Sequence[object], descriptors: Sequence[int]) -> None:
        content = json.dumps(message).encode()
        if descriptors:
            socket.send_fds(self._channel, [content], descriptors)
        else:
            self._channel.send(content)

    def follow(self) -> RunEnd | None:
        """Serve the child until it ends; return None when it is late."""
        before = {
            number: signal.signal(number, self._stop)
            for number in interrupt.SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            while True:
                left = self._deadline() - time.monotonic()
                if left <= 0:
                    return None if self._stop_at == float("inf") else RunEnd(None, "stopped")
                # A signal alone does not end this wait, and may bring the end nearer.
                if not select.select([self._channel], [], [], min(left, 1.0))[0]:
                    continue
                message, descriptors = self._receive()
                if not message:
                    return self._ended()
                self._take(json.loads(message), descriptors)
                if self._code is not None:
                    return RunEnd(self._code)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def late_step(self) -> tuple[str, float]:
        """Return the step that took too long, and its seconds; no name where it was the run."""
        now = time.monotonic()
        for name, seconds, until in reversed(self._steps):
            if now >= until:
                return name, seconds
        return "", self.limit

    def leave(self) -> None:
        """End the process, or leave it behind where it cannot be ended; free its lock.

        One that has reported its exit code is done: what it still waits for, or clears away, is
        nothing of the run.
        """
        if not self._waited_for:
            process_tree.kill_with_descendants(self.pid)
        until = time.monotonic() + EXIT_SECONDS
        with contextlib.suppress(ChildProcessError):
            while not os.waitpid(self.pid, os.WNOHANG)[0] and time.monotonic() < until:
                time.sleep(0.001)
        self._channel.close()
        for lock in self._locks:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def _deadline(self) -> float:
        times = [self.began + self.limit, self._stop_at, *(step[-1] for step in self._steps)]
        return min(times)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Pass a signal on; the child ends as it does without a supervisor."""
        self._stop_at = min(self._stop_at, time.monotonic() + STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def _take(self, message: Sequence[Any], descriptors: Sequence[int]) -> None:
        kind, values = message[0], message[1:]
        if kind == "begin":
            self._steps.append((values[0], values[1], time.monotonic() + values[1]))
        elif kind == "end":
            self.done.add(self._steps.pop()[0])
        elif kind == "limit":
            self.limit = values[0]
        elif kind == "round":
            self.began = time.monotonic()
        elif kind == "lock":
            self._locks += descriptors
        elif kind == "code":
            self._code = values[0]
        elif kind == "columns":
            self._send([_terminal_columns(sys.stdout)])
        else:
            stream = sys.stdout if kind == "stdout" else sys.stderr
            error = _write_at_once(stream, values[0], self._deadline)
            self._send([error.errno, error.strerror] if error else [])

    def _receive(self) -> tuple[bytes, list[int]]:
        """Return the next message and the file descriptors that come with it.

        Into one buffer for all: a run sends some eighty, and a new one costs more than to read it.
        """
        space = socket.CMSG_SPACE(DESCRIPTOR)
        try:
            size, control, _flags, _from = self._channel.recvmsg_into([self._received], space)
        except ConnectionResetError:
            # The child ended before it had read a reply. What it sent is still there.
            size, control, _flags, _from = self._channel.recvmsg_into([self._received], space)
        descriptors = [
            int.from_bytes(data[:DESCRIPTOR], sys.byteorder)
            for level, kind, data in control
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        ]
        return bytes(self._received[:size]), descriptors

    def _send(self, answer: Sequence[Any]) -> None:
        with contextlib.suppress(OSError):  # it ended meanwhile, which shows at the next turn
            self._channel.send(json.dumps(answer).encode())

    def _ended(self) -> RunEnd:
        """Return the end of a child that sent no exit code."""
        _pid, status = os.waitpid(self.pid, 0)
        self._waited_for = True
        self._code = os.waitstatus_to_exitcode(status)
        name = signal.Signals(-self._code).name if self._code < 0 else f"exit code {self._code}"
        return RunEnd(None, f"the run was ended from outside ({name})")


def _terminal_columns(stream: TextIO | None) -> int:
    """Return how wide a stream's terminal is; 0 where it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream else 0
    except (OSError, ValueError):
        return 0


def _write_at_once(stream: TextIO, text: str, deadline: Callable[[], float]) -> OSError | None:
    """Write a text at once, but wait no longer than the deadline for somebody who reads it."""
    content = text.encode(stream.encoding, stream.errors or "strict")
    try:
        while content:
            left = max(0.0, deadline() - time.monotonic())
            if not select.select([], [stream], [], left)[1]:
                return TimeoutError(0, "nobody reads it")
            content = content[os.write(stream.fileno(), content[:AT_ONCE]) :]
    except OSError as error:
        return error
    return None


class _RelayedStream(io.TextIOBase):
    """A standard stream of the child: what is written goes to the supervisor.

    Its file descriptor is the child's own, which leads nowhere.
    """

    def __init__(self, kind: str, channel: socket.socket, number: int, terminal: bool) -> None:
        self._kind, self._channel, self._number = kind, channel, number
        self._text, self._terminal = "", terminal

    def isatty(self) -> bool:
        return self._terminal

    def columns(self) -> int:
        """Return how wide the terminal is now; 0 where it is none."""
        self._channel.send(json.dumps(["columns"]).encode())
        (columns,) = json.loads(self._channel.recv(1 << 16) or "[0]")
        return int(columns)

    def fileno(self) -> int:
        return self._number

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._text += text
        return len(text)

    def flush(self) -> None:
        while self._text:
            part, self._text = self._text[:MESSAGE], self._text[MESSAGE:]
            self._channel.send(json.dumps([self._kind, part]).encode())
            error = json.loads(self._channel.recv(1 << 16) or "[]")
            if error:
                self._text = ""
                raise OSError(*error)


def _release_descriptors(kept: int) -> None:
    """Close what this process has open, but for one; standard streams lead nowhere.

    A process that is left behind must hold nothing that others wait for: a lock is free, and a pipe
    at its end, only when no process has it open.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        if number != kept:
            os.dup2(null, number)
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number > 2 and number != kept:
            with contextlib.suppress(OSError):  # that of the list itself
                os.close(number)
