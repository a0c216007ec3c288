# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that may block for ever, such as those to a filesystem whose daemon hangs.

They are made in child processes. One that does not return within its limit is killed and left
behind: the kernel may keep it in state D (proc(5)), where not even SIGKILL ends it, so nobody waits
for it. In the ordinary case all calls are made by one child; another one takes over the rest only
while it is busy. `shared_child` keeps it for later groups of calls.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pickle
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from .messages import _

Value = TypeVar("Value")

# Seconds that a child is busy with one call before another child takes over the rest.
PATIENCE = 0.1
# How many children are busy at once at most.
MOST_CHILDREN = 32
# Seconds beyond a call's limit in which the call itself, which may have the same limit, reports.
GRACE = 1.0
# Seconds for a killed child to end, before it counts as left behind.
BURIAL = 0.02
# A call that waits for a free child does so for this many times the longest limit at most.
MOST_ROUNDS = 2


@dataclasses.dataclass(frozen=True, eq=False)
class BoundedCall(Generic[Value]):
    """One call that may block.

    Attributes:
        name: what is called, such as a path. While an earlier call of that name is still stuck in
            this process's child, it is not made again.
        function: called without arguments in a child process; its value can be pickled.
        time_limit: seconds that it may take.
    """

    name: str
    function: Callable[[], Value]
    time_limit: float


@dataclasses.dataclass(frozen=True)
class CallResult(Generic[Value]):
    """What a call returned, or the error that it raised; `TimeoutError` where it did not return."""

    returned: Value | None = None
    error: Exception | None = None

    def value(self) -> Value:
        """Return the value.

        Raises:
            Exception: the one that the call raised.
        """
        if self.error is not None:
            raise self.error
        return self.returned  # type: ignore[return-value]


class _Child:
    """One child process, its two pipes and the call that it is busy with."""

    def __init__(self, calls: Sequence[BoundedCall[Any]]) -> None:
        requests, self.requests = os.pipe()
        self.answers, answers = os.pipe()
        self.calls = calls
        self.index: int | None = None
        self.ended = False
        self.deadline = 0.0
        self.received = b""
        self.pid = os.fork()
        if self.pid == 0:
            _serve(calls, requests, answers)  # it has the calls, which need no copy then
        os.close(requests)
        os.close(answers)

    def start(self, calls: Sequence[BoundedCall[Any]], index: int) -> None:
        """Give it a call to make."""
        request: object = index if calls is self.calls else calls[index].function
        self.index, self.received = index, b""
        self.deadline = time.monotonic() + calls[index].time_limit + GRACE
        with contextlib.suppress(BrokenPipeError):  # it ended: the end of its answers shows that
            _write_object(self.requests, pickle.dumps(request))

    def result(self) -> CallResult[Any] | None:
        """Read what has arrived; return the call's result once it is whole."""
        block = os.read(self.answers, 1 << 16)
        self.received += block
        if not block:
            self.ended = True
            return CallResult(error=OSError(0, _("the process that called it ended")))
        size = int.from_bytes(self.received[:8], "big")
        if len(self.received) < 8 + size or len(self.received) < 8:
            return None
        result: CallResult[Any] = pickle.loads(self.received[8:])
        return result

    def close(self) -> bool:
        """Kill it and close its pipes; return whether it has ended, or is left behind."""
        os.close(self.requests)
        os.close(self.answers)
        os.kill(self.pid, signal.SIGKILL)
        if self.index is None:
            # An idle child waits for its pipe, from which a signal frees it at once.
            return os.waitpid(self.pid, 0)[0] != 0
        # One that only sleeps ends at once, too, but not before a busy machine lets it.
        end = time.monotonic() + BURIAL
        while os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True


# Process ids of children that were left behind, by the name of their call.
_left_behind: dict[str, int] = {}
# The idle child that `shared_child` keeps, if there is one; None where nothing is shared.
_shared: list[_Child] | None = None


@contextlib.contextmanager
def shared_child() -> Iterator[None]:
    """Let one child make the calls of several groups: to start one takes longer than most calls.

    Every function that is called meanwhile can be pickled. A child that hangs or ends is replaced.
    """
    global _shared
    outer, _shared = _shared, []
    try:
        yield
    finally:
        for child in _shared:
            child.close()
        _shared = outer


def results(calls: Sequence[BoundedCall[Value]]) -> list[CallResult[Value]]:
    """Make calls at the same time, each within its limit.

    Args:
        calls: those of one name are about the same thing.

    Returns:
        The result of each, in the same order. This function itself takes no longer than
        `MOST_ROUNDS` + 1 times the longest limit and a second, whatever blocks.
    """
    _bury()
    found: dict[int, CallResult[Value]] = {
        index: _no_answer(call) for index, call in enumerate(calls) if call.name in _left_behind
    }
    waiting = deque(index for index in range(len(calls)) if index not in found)
    began = taken_over = time.monotonic()
    last_start = began + MOST_ROUNDS * max((call.time_limit for call in calls), default=0.0)
    children: list[_Child] = []
    with selectors.DefaultSelector() as selector:

        def add(child: _Child) -> None:
            children.append(child)
            selector.register(child.answers, selectors.EVENT_READ, child)

        def remove(child: _Child) -> None:
            selector.unregister(child.answers)
            children.remove(child)
            if _shared == [] and child.index is None and not child.ended:
                _shared.append(child)
            elif not child.close() and child.index is not None:
                _left_behind[calls[child.index].name] = child.pid

        if _shared and waiting:
            add(_shared.pop())
        try:
            while len(found) < len(calls):
                now = time.monotonic()
                for child in [one for one in children if one.index is not None]:
                    if child.index is not None and now >= child.deadline:
                        found[child.index] = _no_answer(calls[child.index])
                        remove(child)
                if now >= last_start:
                    found.update({index: _not_called() for index in waiting})
                    waiting.clear()
                idle = [child for child in children if child.index is None]
                due = not children or now >= taken_over + PATIENCE
                if waiting and not idle and due and len(children) < MOST_CHILDREN:
                    add(_Child(calls))
                    idle.append(children[-1])
                for child in idle[: len(waiting)]:
                    index = waiting.popleft()
                    child.start(calls, index)
                    taken_over = time.monotonic()
                times = [child.deadline for child in children if child.index is not None]
                if waiting:
                    times += [taken_over + PATIENCE, last_start]
                if not times:
                    continue
                for key, _events in selector.select(max(0.0, min(times) - time.monotonic())):
                    result = key.data.result()
                    if result is not None:
                        found[key.data.index] = result
                        key.data.index = None
                        if key.data.ended:
                            remove(key.data)
        finally:
            for child in list(children):
                remove(child)
    return [found[index] for index in range(len(calls))]


def _no_answer(call: BoundedCall[Any]) -> CallResult[Any]:
    text = _("no answer within %(seconds)s s", seconds=f"{call.time_limit:g}")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))


def _not_called() -> CallResult[Any]:
    text = _("not measured, because too much else gave no answer")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))


def _bury() -> None:
    """Forget the children that were left behind and have ended since."""
    for name, pid in list(_left_behind.items()):
        try:
            ended, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            del _left_behind[name]


def _serve(calls: Sequence[BoundedCall[Any]], requests: int, answers: int) -> None:
    """Make the calls that are requested, until the requests end; never returns."""
    try:
        os.setsid()
        # A child that is left behind must keep nothing that others wait for: a lock is free, and a
        # pipe at its end, only when no process has it open.
        silent = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(silent, standard)
        for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
            if descriptor > 2 and descriptor not in (requests, answers):
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        while head := os.read(requests, 8):
            request = pickle.loads(_read_whole(requests, int.from_bytes(head, "big")))
            function = calls[request].function if isinstance(request, int) else request
            _write_object(answers, _pickled(function))
    finally:
        # What ends a child of `os.fork`: it must not return into its parent's code.
        os._exit(0)


def _write_object(pipe: int, content: bytes) -> None:
    """Write a pickled object with its length before it."""
    content = len(content).to_bytes(8, "big") + content
    while content:
        content = content[os.write(pipe, content) :]


def _read_whole(pipe: int, size: int) -> bytes:
    content = b""
    while len(content) < size and (block := os.read(pipe, size - len(content))):
        content += block
    return content


def _pickled(function: Callable[[], object]) -> bytes:
    try:
        return pickle.dumps(CallResult(function()))
    except Exception as error:  # whatever it is, the caller gets it as the call's result
        with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
            return pickle.dumps(CallResult(error=error))
        return pickle.dumps(CallResult(error=RuntimeError(f"{type(error).__name__}: {error}")))
