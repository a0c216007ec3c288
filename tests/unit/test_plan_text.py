"""The reader of the owner's plan finds all of it."""

from __future__ import annotations

from plan import plan_text


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
    assert [len(plan_text.outputs(stage)) for stage in (1, 2, 3)] == [1, 1, 1]
    assert [len(plan_text.rollback(stage).commands) for stage in (1, 2, 3)] == [4, 4, 2]
    assert [len(plan_text.cron_lines(stage)) for stage in (1, 2, 3)] == [1, 1, 0]


def test_what_the_plan_shows_on_the_way() -> None:
    shown = {
        stage: sum(len(block.commands) for block in plan_text.shown(stage)) for stage in (1, 2, 3)
    }
    assert shown == {1: 1, 2: 5, 3: 7}
    (explained,) = [block for block in plan_text.shown(2) if "rsync" in block.title]
    # A shell would find several commands in it; it is one, explained.
    assert explained.commands == (explained.text.rstrip("\n"),)
    assert "Deletar linha do monitor-disk-space" in plan_text.rollback(1).comments
