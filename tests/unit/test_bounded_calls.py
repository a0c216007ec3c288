"""Calls that may block: each within its limit, whatever the others do."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import bounded_calls
from ansible_collections.chefwell.resilience.plugins.module_utils.common.bounded_calls import (
    BoundedCall,
    results,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from support.waiting import wait_for


def call(function: Callable[[], object], limit: float = 5, name: str = "") -> BoundedCall[object]:
    return BoundedCall(name or f"call {id(function)}", function, limit)


def test_values_come_back_in_order_from_one_thread() -> None:
    found = results([call(lambda n=n: (n, threading.get_ident()), name=str(n)) for n in range(50)])
    values = [result.value() for result in found]
    assert [value[0] for value in values] == list(range(50))
    threads = {value[1] for value in values}
    assert threading.get_ident() not in threads
    assert len(threads) <= 2  # a second one on a busy machine


def test_errors_come_back_as_they_were_raised() -> None:
    def refuse() -> None:
        raise ResilienceError("this is wrong", option="paths", value=1, remedy="correct it")

    missing, refused, odd, ended, after = results(
        [
            call(lambda: os.statvfs("/not/there")),
            call(refuse),
            call(lambda: 1 // 0),
            call(sys.exit),
            call(lambda: "after"),
        ]
    )
    assert isinstance(missing.error, FileNotFoundError)
    with pytest.raises(ResilienceError) as raised:
        refused.value()
    assert (raised.value.option, raised.value.remedy) == ("paths", "correct it")
    assert isinstance(odd.error, ZeroDivisionError)
    assert isinstance(ended.error, RuntimeError) and "SystemExit" in str(ended.error)
    assert (after.returned, after.error) == ("after", None)


def test_one_that_blocks_costs_itself_alone() -> None:
    started = time.monotonic()
    calls = [call(lambda: time.sleep(60), limit=0.5, name=f"stuck {n}") for n in range(3)]
    found = results([*calls, *(call(lambda n=n: n, name=str(n)) for n in range(20))])
    assert time.monotonic() - started < 4
    assert [type(result.error) for result in found[:3]] == [TimeoutError] * 3
    assert "no answer within 0.5 s" in str(found[0].error)
    assert [result.value() for result in found[3:]] == list(range(20))


def test_all_of_it_ends_however_many_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_calls, "MOST_THREADS", 4)
    monkeypatch.setattr(bounded_calls, "GRACE", 0.1)
    started, busy = time.monotonic(), time.process_time()
    calls = [call(lambda: time.sleep(60), limit=0.4, name=f"stuck {n}") for n in range(40)]
    found = results(calls)
    assert time.monotonic() - started < 3
    assert time.process_time() - busy < 0.2, "it waits, and does not look again and again"
    assert {type(result.error) for result in found} == {TimeoutError}
    assert "not measured" in str(found[-1].error)


def test_what_is_stuck_is_not_called_again_until_it_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page that is shown every second would else leave a thread behind each time."""
    monkeypatch.setattr(bounded_calls, "GRACE", 0.1)
    calls, leave = list[int](), threading.Event()

    def wait() -> str:
        calls.append(threading.get_ident())
        leave.wait(30)
        return "it answers"

    stuck = call(wait, limit=0.2, name="stuck until it is let go")
    for _attempt in range(2):
        (found,) = results([stuck])
        assert isinstance(found.error, TimeoutError) and len(calls) == 1
    (busy,) = [one for one in threading.enumerate() if one.ident == calls[0]]
    assert busy.daemon, "a process would wait for it at its end"
    leave.set()
    busy.join(10)
    (after,) = results([stuck])
    assert after.value() == "it answers" and len(calls) == 2


def test_no_thread_is_left_where_all_return() -> None:
    before = set(threading.enumerate())
    results([call(lambda: 1)])
    wait_for(lambda: set(threading.enumerate()) <= before, 5)
    assert set(threading.enumerate()) <= before
