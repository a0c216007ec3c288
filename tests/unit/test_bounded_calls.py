"""Calls that may block: each within its limit, whatever the others do."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import bounded_calls
from ansible_collections.chefwell.resilience.plugins.module_utils.common.bounded_calls import (
    BoundedCall,
    CallResult,
    results,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)


def call(function: Callable[[], object], limit: float = 5, name: str = "") -> BoundedCall[object]:
    return BoundedCall(name or f"call {id(function)}", function, limit)


def test_values_come_back_in_order_from_one_child() -> None:
    found = results([call(lambda n=n: (n, os.getpid()), name=str(n)) for n in range(50)])
    values = [result.value() for result in found]
    assert [value[0] for value in values] == list(range(50))
    children = {value[1] for value in values}
    assert len(children) <= 2 and os.getpid() not in children  # a second one on a busy machine


def test_errors_come_back_as_they_were_raised() -> None:
    def refuse() -> None:
        raise ResilienceError("this is wrong", option="paths", value=1, remedy="correct it")

    missing, refused, odd, ended, after = results(
        [
            call(lambda: os.statvfs("/not/there")),
            call(refuse),
            call(lambda: 1 // 0),
            call(lambda: os._exit(9)),
            call(lambda: "after"),
        ]
    )
    assert isinstance(missing.error, FileNotFoundError)
    with pytest.raises(ResilienceError) as raised:
        refused.value()
    assert (raised.value.option, raised.value.remedy) == ("paths", "correct it")
    assert isinstance(odd.error, ZeroDivisionError)
    assert isinstance(ended.error, OSError) and "ended" in str(ended.error)
    assert after == CallResult("after")


def test_one_that_blocks_costs_itself_alone() -> None:
    started = time.monotonic()
    calls = [call(lambda: time.sleep(60), limit=0.5, name=f"stuck {n}") for n in range(3)]
    found = results([*calls, *(call(lambda n=n: n, name=str(n)) for n in range(20))])
    assert time.monotonic() - started < 4
    assert [type(result.error) for result in found[:3]] == [TimeoutError] * 3
    assert "no answer within 0.5 s" in str(found[0].error)
    assert [result.value() for result in found[3:]] == list(range(20))


def test_all_of_it_ends_however_many_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_calls, "MOST_CHILDREN", 4)
    monkeypatch.setattr(bounded_calls, "GRACE", 0.1)
    started = time.monotonic()
    calls = [call(lambda: time.sleep(60), limit=0.4, name=f"stuck {n}") for n in range(40)]
    found = results(calls)
    assert time.monotonic() - started < 3
    assert {type(result.error) for result in found} == {TimeoutError}
    assert "not measured" in str(found[-1].error)


def test_a_child_that_is_left_behind_holds_neither_locks_nor_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in state D is: it is not ended here, and its lock and pipes are free all the same."""
    killed: list[int] = []
    monkeypatch.setattr(bounded_calls.os, "kill", lambda pid, _signal: killed.append(pid))
    monkeypatch.setattr(bounded_calls, "GRACE", 0.1)
    reading, writing = os.pipe()
    descriptor = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    stuck = call(lambda: time.sleep(3), limit=0.2, name="stuck for three seconds")
    (found,) = results([stuck])
    assert isinstance(found.error, TimeoutError) and len(killed) == 1
    os.close(writing)
    assert os.read(reading, 1) == b""  # the end, at once: the child does not have it open
    os.close(descriptor)
    with (tmp_path / "lock").open() as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(reading)
    # While it is stuck the same is not measured again: a page that is shown every second would else
    # leave a child behind each time.
    (again_found,) = results([stuck])
    assert isinstance(again_found.error, TimeoutError) and len(killed) == 1
    time.sleep(3.2)
    (after,) = results([call(lambda: "it answers", name=stuck.name)])
    assert after.value() == "it answers"


def children() -> set[int]:
    """The children of this process, those of other tests among them."""
    return {child.pid for child in psutil.Process().children()}


def test_no_child_is_left_where_all_return() -> None:
    before = children()
    results([call(lambda: 1)])
    assert children() == before


def test_a_shared_child_makes_the_calls_of_several_groups() -> None:
    with bounded_calls.shared_child():
        first = results([call(os.getpid)])[0].value()
        second, path = results([call(os.getpid), call(partial(os.path.join, "a", "b" * 200_000))])
        assert (second.value(), path.value()) == (first, "a/" + "b" * 200_000)
        assert results([call(partial(int, "x"))])[0].error is not None
        assert results([call(os.getpid)])[0].value() == first
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(first)), 0)
    assert results([call(os.getpid)])[0].value() != first


def test_a_shared_child_that_blocks_or_ends_is_replaced() -> None:
    with bounded_calls.shared_child():
        first = results([call(os.getpid)])[0].value()
        assert isinstance(results([call(partial(time.sleep, 60), 0.1)])[0].error, TimeoutError)
        second = results([call(os.getpid)])[0].value()
        assert "ended" in str(results([call(partial(os._exit, 9), 30)])[0].error)
        third = results([call(os.getpid)])[0].value()
    assert len({first, second, third}) == 3
