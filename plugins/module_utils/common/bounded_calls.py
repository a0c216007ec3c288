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

import contextlib
import dataclasses
import errno
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
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


@dataclasses.dataclass(frozen=True, eq=False)
class BoundedCall(Generic[Value]):
    """One call that may block.

    Attributes:
        name: what is called, such as a path. While an earlier call of that name is still stuck in
            this process, it is not made again.
        function: called without arguments in another thread. What blocks in it lets other threads
            run, as functions of `os` do; `os.DirEntry.stat` does not in each version of Python.
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


class _Caller(Generic[Value]):
    """A thread that makes calls, one after another.

    Attributes:
        busy: the index of the call that it makes, and when that is given up; None between calls.
        given_up: whether nobody waits for it any more.
    """

    def __init__(
        self,
        calls: Sequence[BoundedCall[Value]],
        waiting: deque[int],
        ended: queue.SimpleQueue[tuple[int, CallResult[Value]]],
    ) -> None:
        self._calls, self._waiting, self._ended = calls, waiting, ended
        self.busy: tuple[int, float] | None = None
        self.given_up = False
        self.thread = threading.Thread(target=self._work, name="bounded calls", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        for index in _taken(self._waiting):
            call = self._calls[index]
            self.busy = index, time.monotonic() + call.time_limit + GRACE
            try:
                result = CallResult(call.function())
            except Exception as error:
                result = CallResult(error=error)
            except BaseException as error:  # a thread that ends so would leave its caller waiting
                result = CallResult(error=RuntimeError(f"{type(error).__name__}: {error}"))
            self.busy = None
            self._ended.put((index, result))
            if self.given_up:
                break


def _taken(waiting: deque[int]) -> Iterator[int]:
    """Take what waits, one by one, while other threads do so, too."""
    with contextlib.suppress(IndexError):
        while True:
            yield waiting.popleft()


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
    found: dict[int, CallResult[Value]] = {
        index: _no_answer(call) for index, call in enumerate(calls) if call.name in _stuck
    }
    waiting = deque(index for index in range(len(calls)) if index not in found)
    ended: queue.SimpleQueue[tuple[int, CallResult[Value]]] = queue.SimpleQueue()
    callers: list[_Caller[Value]] = []
    progress = time.monotonic()
    last_start = progress + MOST_ROUNDS * max((call.time_limit for call in calls), default=0.0)
    while len(found) < len(calls):
        now = time.monotonic()
        for caller in callers:
            busy = caller.busy
            if busy and now >= busy[1]:
                caller.given_up = True
                found.setdefault(busy[0], _no_answer(calls[busy[0]]))
                _stuck[calls[busy[0]].name] = caller.thread
        if now >= last_start:
            found.update({index: _not_called() for index in _taken(waiting)})
        callers = [one for one in callers if one.thread.is_alive() and not one.given_up]
        late = not callers or now >= progress + PATIENCE
        if waiting and late and len(callers) < MOST_THREADS:
            callers.append(_Caller(calls, waiting, ended))
            progress = now
        times = [caller.busy[1] if caller.busy else now + PATIENCE for caller in callers]
        if waiting:
            times.append(last_start)
            if len(callers) < MOST_THREADS:
                times.append(progress + PATIENCE)
        until = min(times, default=now)
        try:
            index, result = ended.get(timeout=max(0.0, until - now))
        except queue.Empty:
            continue
        found.setdefault(index, result)
        progress = time.monotonic()
    return [found[index] for index in range(len(calls))]


def _no_answer(call: BoundedCall[Value]) -> CallResult[Value]:
    text = _("no answer within %(seconds)s s", seconds=f"{call.time_limit:g}")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))


def _not_called() -> CallResult[Value]:
    text = _("not measured, because too much else gave no answer")
    return CallResult(error=TimeoutError(errno.ETIMEDOUT, text))
