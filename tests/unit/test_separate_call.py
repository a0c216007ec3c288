"""A function of the engine in a process of its own: its value, its error, and its time limit."""

from __future__ import annotations

import os
import posixpath
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import separate_call
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.disk import disk_check
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import host_problems
from support.processes import descendants, has_ended
from support.waiting import wait_for


def test_the_value_comes_from_another_process() -> None:
    assert separate_call.value(os.getpid, time_limit=60) not in (os.getpid(), None)
    assert separate_call.value(posixpath.join, "ä", "x" * 200_000, time_limit=60) == "ä/" + (
        "x" * 200_000
    )


def test_an_error_of_the_engine_keeps_option_value_and_remedy() -> None:
    with pytest.raises(ResilienceError) as raised:
        separate_call.value(disk_check.values, {"drill_factor": -1}, "", time_limit=60)
    error = raised.value
    assert (error.option, error.value) == ("drill_factor", -1)
    assert error.problem and error.remedy


def test_any_other_error_is_one_line_of_it() -> None:
    with pytest.raises(ResilienceError) as raised:
        separate_call.value(os.listdir, "/not/there", time_limit=60)
    assert "FileNotFoundError" in str(raised.value) and "\n" not in str(raised.value)


def test_a_process_that_ends_early_is_an_error() -> None:
    with pytest.raises(ResilienceError, match="ended early"):
        separate_call.value(os.abort, time_limit=60)


def test_one_that_does_not_return_costs_its_time_limit_and_is_ended() -> None:
    before, started = set(descendants(os.getpid())), time.monotonic()
    with pytest.raises(ResilienceError, match=r"no answer within 0\.5 s"):
        separate_call.value(time.sleep, 60, time_limit=0.5)
    assert time.monotonic() - started < 10
    wait_for(lambda: all(map(has_ended, set(descendants(os.getpid())) - before)))


def test_a_folder_that_cannot_be_listed_says_why(tmp_path: Path) -> None:
    assert host_problems.listing_problem(str(tmp_path)) == ""
    assert "No such file" in host_problems.listing_problem(str(tmp_path / "missing"))
