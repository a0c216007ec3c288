"""A pytest plugin: what was caused, what should be seen, what was seen; a table and a JSON file.

A test is named by its row (`test_c1_...`), asks for the fixture `fault`, says what it causes, and
states what it saw with whether that holds. A test that states nothing fails, and so does one that
is skipped: a fault that was not caused was not survived.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS: dict[str, dict[str, str]] = tomllib.loads(
    (ROOT / "tests" / "faults" / "rows.toml").read_text(encoding="utf-8")
)
# Read when the run ends, so that a test of this plugin writes elsewhere.
RESULTS_VARIABLE = "FAULT_RESULTS"
RESULTS = ROOT / "build" / "faults" / "results.json"
VERSION = 1


@dataclasses.dataclass
class Case:
    """One fault caused once: one test."""

    row: str
    test: str
    caused: list[str] = dataclasses.field(default_factory=list)
    seen: list[str] = dataclasses.field(default_factory=list)
    status: str = "failed"
    why: str = ""
    seconds: float = 0.0


class Fault:
    """What a test tells of the fault that it causes."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def cause(self, what: str) -> None:
        """Says what is done, with its figures."""
        self.case.caused.append(what)

    def see(self, what: str, *, holds: bool) -> None:
        """States what was seen; the row fails unless it holds."""
        self.case.seen.append(what)
        assert holds, f"{self.case.row} wants: {ROWS[self.case.row]['outcome']}; seen: {what}"

    def note(self, what: str) -> None:
        """Tells a figure that nothing depends on, for comparison."""
        self.case.seen.append(what)


# The reports of each test that are in by now, and the cases that are complete, by node.
_REPORTS: dict[str, list[pytest.TestReport]] = {}
_CASES: dict[str, Case] = {}
# Under this name a case travels with its test's report, from a lane of its own too (pytest-xdist).
PROPERTY = "fault"


def row_of(name: str) -> str | None:
    """The row that a test is named by: `C1` for `test_c1_cut_off`; None if it names none."""
    found = re.match(r"test_([a-e]\d{1,2})_", name)
    row = found[1].upper() if found else ""
    return row if row in ROWS else None


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    """Takes down what a test causes and sees."""
    row = row_of(request.node.name)
    assert row, f"{request.node.name} is not named by a row: test_<row>_<what>, see rows.toml"
    case = Case(row, request.node.name)
    yield Fault(case)
    request.node.user_properties.append((PROPERTY, dataclasses.asdict(case)))
    assert case.caused, "the test does not say what it causes: fault.cause(...)"
    assert case.seen, "the test states nothing that it saw: fault.see(..., holds=...)"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    reports = _REPORTS.setdefault(report.nodeid, [])
    reports.append(report)
    told = dict(report.user_properties).get(PROPERTY)
    if report.when != "teardown" or not isinstance(told, dict):
        return
    case = _CASES[report.nodeid] = Case(**told)
    case.seconds = sum(one.duration for one in reports)
    wrong = [one for one in reports if one.failed or one.skipped]
    case.status = "failed" if wrong else "passed"
    if wrong:
        said = getattr(wrong[0].longrepr, "reprcrash", None)
        words = said.message if said else str(wrong[0].longrepr)
        case.why = words.splitlines()[0][:300]


def results() -> dict[str, Any]:
    """What is written to the JSON file."""
    rows = []
    for row in sorted({case.row for case in _CASES.values()}, key=_order):
        cases = [case for case in _CASES.values() if case.row == row]
        passed = all(case.status == "passed" for case in cases)
        rows.append(
            {
                "row": row,
                **ROWS[row],
                "status": "passed" if passed else "failed",
                "cases": [
                    {**dataclasses.asdict(case), "seconds": round(case.seconds, 3)}
                    for case in cases
                ],
            }
        )
    return {
        "version": VERSION,
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "rows": rows,
        "passed": sum(row["status"] == "passed" for row in rows),
        "failed": sum(row["status"] == "failed" for row in rows),
        "not_caused": sorted(set(ROWS) - {case.row for case in _CASES.values()}, key=_order),
    }


def _order(row: str) -> tuple[str, int]:
    return row[0], int(row[1:])


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A lane hands its reports on; the run that it belongs to writes.
    if not _CASES or hasattr(session.config, "workerinput"):
        return
    path = Path(os.environ.get(RESULTS_VARIABLE, RESULTS))
    path.parent.mkdir(parents=True, exist_ok=True)
    found = results()
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    # A skipped test leaves pytest content; this harness is not.
    if found["failed"] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _CASES:
        return
    found = results()
    terminalreporter.section("faults")
    for row in found["rows"]:
        terminalreporter.write_line(f"{row['row']:<4}{row['fault']}  ->  {row['outcome']}")
        for case in row["cases"]:
            terminalreporter.write_line(
                f"    {case['status'].upper():<7}{case['seconds']:6.1f} s  {case['test']}"
            )
            for name in ("caused", "seen"):
                for line in case[name]:
                    terminalreporter.write_line(f"        {name:<7}{line}")
            if case["why"]:
                terminalreporter.write_line(f"        why    {case['why']}")
    missing = found["not_caused"]
    terminalreporter.write_line(
        f"{found['passed']} rows passed, {found['failed']} failed;"
        f" not caused in this run: {' '.join(missing) or 'none'}"
    )
