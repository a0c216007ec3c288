"""The reader of the owner's plan finds all of it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plan"))

import plan_text  # noqa: E402


def test_every_test_of_the_plan_is_found() -> None:
    found = {test.id: len(test.commands) for test in plan_text.tests()}
    assert list(found) == [
        *(f"T1.{number}" for number in range(1, 6)),
        *(f"T2.{number}" for number in range(1, 8)),
        *(f"T3.{number}" for number in range(1, 9)),
    ]
    assert sum(found.values()) == 35 and min(found.values()) == 1


def test_lists_of_the_plan() -> None:
    assert [len(plan_text.files_created(stage)) for stage in (1, 2, 3)] == [3, 5, 6]
    assert [len(plan_text.criteria(stage)) for stage in (1, 2, 3)] == [5, 7, 9]
    assert len(plan_text.checkpoint_items()) == 7
