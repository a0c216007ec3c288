"""The page of what a run of the plan saw: nothing is missing in it, and nothing passes unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

from docker_lab.servers import Ended
from plan import plan_checks, plan_coverage, plan_text

PAGE = ROOT / "docs" / "plan-coverage.md"


def a_run() -> plan_coverage.Coverage:
    """As if everything had been seen."""
    made = plan_coverage.Coverage()
    for stage, kind, number in plan_coverage.expected():
        if kind != "criterion":
            columns = len(plan_coverage.KINDS[kind][1])
            tests = [test.id for test in plan_text.tests() if test.stage == stage]
            for at in range(number):
                first = tests[at] if kind == "test" else f"{kind} {at} PLAYBOOK.md"
                if kind == "file" and at == number - 1:
                    first = plan_coverage.code("/root/DISASTER-RECOVERY-PLAYBOOK.md")
                made.add(stage, kind, first, *["x"] * (columns - 1), passed=True)
    return made


def test_the_committed_page_has_a_row_for_everything() -> None:
    expected = sum(number for _stage, _kind, number in plan_coverage.expected())
    page = PAGE.read_text(encoding="utf-8")
    rows = plan_coverage.rows_of(page)
    print(f"{len(rows)} rows, {expected} things that the plan names")
    assert len(rows) == expected > 100
    for row in rows:
        assert re.search(r"\| (✅|⚠️ \w.+) \|$", row), row
    for test in plan_text.tests():
        assert f"| {test.id} - {plan_coverage.cell(test.title)} |" in page
        for command in test.commands:
            assert plan_coverage.cell(plan_coverage.code(command)) in page
    for stage in plan_text.STAGES:
        for path in plan_text.files_created(stage):
            assert f"`{path}`" in page
        for line in plan_text.criteria(stage):
            assert f"| {plan_coverage.cell(line)} |" in page


def test_every_criterion_has_a_proof() -> None:
    named = [line for stage in plan_text.STAGES for line in plan_text.criteria(stage)]
    assert sorted(plan_coverage.PROOFS) == sorted(named) and len(named) == 21
    whole = a_run()
    whole.judge_criteria(available=True)
    assert whole.lacking() == []
    assert all(row.passed for row in whole.of("criterion"))
    unseen = a_run()
    unseen.judge_criteria(available=False)
    assert [row.cells[0] for row in unseen.of("criterion") if not row.passed]


@pytest.mark.parametrize("number", range(len(a_run().rows)))
def test_a_row_too_few_or_a_failed_one_is_seen(number: int) -> None:
    """Each row in turn is left out, and then failed: the committed page differs."""
    whole = a_run()
    whole.judge_criteria(available=True)
    held = whole.page()
    row = whole.rows.pop(number)
    assert len(whole.lacking()) == 1
    assert plan_coverage.different(held, whole.page())
    whole.add(row.stage, row.kind, *row.cells, passed=False)
    assert "❌" in whole.page() and plan_coverage.different(held, whole.page())


def test_a_failed_test_fails_what_it_proves() -> None:
    whole = a_run()
    at = next(n for n, row in enumerate(whole.rows) if row.cells[0] == "T3.5")
    row = whole.rows.pop(at)
    whole.add(row.stage, row.kind, *row.cells, passed=False)
    whole.judge_criteria(available=True)
    failed = [row.cells[0] for row in whole.of("criterion") if not row.passed]
    assert failed == ["Contagens de dados batem (prod vs staging)"]


def test_a_reason_is_shown_only_where_it_is_needed() -> None:
    made = plan_coverage.Coverage()
    with pytest.raises(ValueError, match="only"):
        made.add(1, "command", "a", "b", "0", passed=True, note="but")
    with pytest.raises(ValueError, match="only"):
        made.add(1, "command", "a", "b", "0", passed=None)


def test_pages_are_compared_with_figures_left_open() -> None:
    for stage in plan_text.STAGES:
        for output in plan_text.outputs(stage):
            page = "\n".join(output.lines)
            assert plan_checks.missing_lines(output, page) == []
            assert plan_checks.missing_lines(output, page.replace("24 MB", "1.5 GB")) == []
            for number, line in enumerate(output.lines):
                if line:
                    rest = "\n".join([*output.lines[:number], *output.lines[number + 1 :]])
                    assert line in plan_checks.missing_lines(output, rest)
            assert len(plan_checks.missing_lines(output, "")) >= len(output.lines) - 1


def test_a_judge_that_saw_nothing_has_not_seen() -> None:
    for name in plan_checks.JUDGES:
        what = plan_checks.Seen([], None, None)  # type: ignore[arg-type]
        assert plan_checks.seen(name, what) is False
    assert plan_checks.silent(Ended(1, "")) and not plan_checks.silent(Ended(0, "an error"))
    assert not plan_checks.silent(Ended(127, ""))
