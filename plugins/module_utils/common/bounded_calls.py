# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that may block for ever, such as those to a filesystem whose daemon hangs.

They are made in threads. One whose call does not return within its limit is given up: nothing can
end it, and the kernel may keep its process in state D (proc(5)), where not even SIGKILL ends that.
So only a process that may be left behind makes such calls: one with a supervisor
(`commands/supervisor.py`), or one for this purpose alone (`common/separate_call.py`). In the
ordinary case one thread makes all calls; another one takes over the rest only while it is busy.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from .messages import _

Value = TypeVar("Value")

# Seconds that a thread is busy with one call before another one takes over the rest.
PATIENCE = 0.1
# How many threads are busy at once at most.
MOST_THREADS = 32
# Seconds beyond a call's limit in which the call itself, which may have the same limit, reports.
GRACE = 1.0
# A call that waits for a free thread does so for this many times the longest limit at most.
MOST_ROUNDS = 2


class BoundedCall(Generic[Value]):
    """One call that may block.

    Args:
        name: what is called, such as a path. While an earlier call of that name is still stuck in
            this process, it is not made again.
        function: called without arguments in another thread. What blocks in it lets other threads
            run, as functions of `os` do; `os.DirEntry.stat` does not in each version of Python.
        time_limit: seconds that it may take.
    """

    def __init__(self, name: str, function: Callable[[], Value], time_limit: float) -> None:
        self.name, self.function, self.time_limit = name, function, time_limit


class CallResult(Generic[Value]):
    """What a call returned, or the error that it raised; `TimeoutError` where it did not return."""

    def __init__(self, returned: Value | None = None, error: Exception | None = None) -> None:
        self.returned, self.error = returned, error

    def value(self) -> Value:
        """Return the value.

        Raises:
            Exception: the one that the call raised.
        """
        if self.error is not None:
            raise self.error
        return self.returned  # type: ignore[return-value]


class _Group(Generic[Value]):
    """Calls that are made at the same time.

    Attributes:
        found: the results so far, by the call's index.
        waiting: the indexes of calls that no thread has begun.
        busy: by thread, the index of the call that it makes, and when that is given up.
        progress: when a thread was started or a call returned, last.
        changed: to be held by whoever uses any of these; notified where a call has returned.
    """

    def __init__(self, calls: Sequence[BoundedCall[Value]]) -> None:
        self.calls = calls
        self.found: dict[int, CallResult[Value]] = {}
        self.waiting: deque[int] = deque()
        self.busy: dict[threading.Thread, tuple[int, float]] = {}
        self.progress = time.monotonic()
        self.changed = threading.Condition()

    def start(self) -> None:
        """Start a thread that makes the next call, and what still waits after it."""
        index = self.waiting.popleft()
        thread = threading.Thread(
            target=self._work, args=(index,), name="bounded calls", daemon=True
        )
        self._begin(thread, index)
        self.progress = time.monotonic()
        thread.start()

    def give_up(self, now: float) -> None:
        """Wait no longer for calls whose time is over."""
        for thread, (index, until) in list(self.busy.items()):
            if now >= until:
                del self.busy[thread]
                self.found[index] = _no_answer(self.calls[index])
                _stuck[self.calls[index].name] = thread

    def _begin(self, thread: threading.Thread, index: int) -> None:
        self.busy[thread] = index, time.monotonic() + self.calls[index].time_limit + GRACE

    def _work(self, index: int) -> None:
        thread = threading.current_thread()
        while True:
            result = _result(self.calls[index])
            with self.changed:
                if thread not in self.busy:  # it was given up
                    return
                del self.busy[thread]
                self.found[index] = result
                self.progress = time.monotonic()
                self.changed.notify()
                if not self.waiting:
                    return
                index = self.waiting.popleft()
                self._begin(thread, index)


# Threads that were given up, by the name of their call.
_stuck: dict[str, threading.Thread] = {}


def results(calls: Sequence[BoundedCall[Value]]) -> list[CallResult[Value]]:
    """Make calls at the same time, each within its limit.

    Args:
        calls: those of one name are about the same thing.

    Returns:
        The result of each, in the same order. This function itself takes no longer than
        `MOST_ROUNDS` + 1 times the longest limit and a second, whatever blocks.
    """
    for name, thread in list(_stuck.items()):
        if not thread.is_alive():
            del _stuck[name]
    group = _Group(calls)
    last_start = group.progress + MOST_ROUNDS * max((call.time_limit for call in calls), default=0)
    with group.changed:
        for index, call in enumerate(calls):
            if call.name in _stuck:
                group.found[index] = _no_answer(call)
            else:
                group.waiting.append(index)
        while len(group.found) < len(calls):
            now = time.monotonic()
            group.give_up(now)
            if now >= last_start:
                group.found.update({index: _not_called() for index in group.waiting})
                group.waiting.clear()
            may_start = bool(group.waiting) and len(group.busy) < MOST_THREADS
            if may_start and (not group.busy or now >= group.progress + PATIENCE):
                group.start()
            until = [until for _index, until in group.busy.values()]
            if group.waiting:
                until.append(last_start)
            if group.waiting and len(group.busy) < MOST_THREADS:
                until.append(group.progress + PATIENCE)
            if until:
                group.changed.wait(max(0.0, min(until) - time.monotonic()))
    return [group.found[index] for index in range(len(calls))]


def _result(call: BoundedCall[Value]) -> CallResult[Value]:
    try:
        return CallResult(call.function())
    except Exception as error:
        return CallResult(error=error)
    except BaseException as error:  # a thread that ends so would leave its caller waiting
        return CallResult(error=RuntimeError(f"{type(error).__name__}: {error}"))


def _no_answer(call: BoundedCall[Value]) -> CallResult[Value]:
    text = _("no answer within %(seconds)s s", seconds=f"{call.time_limit:g}")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))


def _not_called() -> CallResult[Value]:
    text = _("not measured, because too much else gave no answer")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))
