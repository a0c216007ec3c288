"""A pytest plugin that records faults: what was caused, expected and seen, as a table and as JSON.

A test is named by its row (`test_c1_...`), takes the fixture `fault`, records what it causes, and
records what it sees together with whether that is as expected. A test that records nothing fails,
and so does one that is skipped: a fault that was not caused was not survived.
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
# An environment variable, so that a test of this plugin can write elsewhere.
RESULTS_VARIABLE = "FAULT_RESULTS"
RESULTS = ROOT / "build" / "faults" / "results.json"
VERSION = 1


@dataclasses.dataclass
class Case:
    """The record of one test: one fault, caused once."""

    row: str
    test: str
    caused: list[str] = dataclasses.field(default_factory=list)
    seen: list[str] = dataclasses.field(default_factory=list)
    status: str = "failed"
    why: str = ""
    seconds: float = 0.0


class Fault:
    """The recorder of one test's fault."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def cause(self, what: str) -> None:
        """Record what is done, with its figures."""
        self.case.caused.append(what)

    def see(self, what: str, *, holds: bool) -> None:
        """Record what was seen; the test fails unless it `holds`."""
        self.case.seen.append(what)
        assert holds, f"{self.case.row} expects: {ROWS[self.case.row]['outcome']}; seen: {what}"

    def note(self, what: str) -> None:
        """Record a figure for comparison, which decides nothing."""
        self.case.seen.append(what)


# Reports of tests that are running, and finished cases, by pytest's node identifier.
_REPORTS: dict[str, list[pytest.TestReport]] = {}
_CASES: dict[str, Case] = {}
# The report's property that carries a case from a lane to the process that hands out the tests.
PROPERTY = "fault"


def row_of(name: str) -> str | None:
    """The row in a test's name: `C1` for `test_c1_cut_off`; None if there is none."""
    found = re.match(r"test_([a-e]\d{1,2})_", name)
    row = found[1].upper() if found else ""
    return row if row in ROWS else None


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    """The recorder of what a test causes and sees."""
    row = row_of(request.node.name)
    assert row, f"{request.node.name} is not named by a row: test_<row>_<what>, see rows.toml"
    case = Case(row, request.node.name)
    yield Fault(case)
    request.node.user_properties.append((PROPERTY, dataclasses.asdict(case)))
    assert case.caused, "the test does not record what it causes: fault.cause(...)"
    assert case.seen, "the test does not record what it sees: fault.see(..., holds=...)"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    reports = _REPORTS.setdefault(report.nodeid, [])
    reports.append(report)
    recorded = dict(report.user_properties).get(PROPERTY)
    if report.when != "teardown" or not isinstance(recorded, dict):
        return
    case = _CASES[report.nodeid] = Case(**recorded)
    case.seconds = sum(phase.duration for phase in reports)
    failures = [phase for phase in reports if phase.failed or phase.skipped]
    case.status = "failed" if failures else "passed"
    if failures:
        crash = getattr(failures[0].longrepr, "reprcrash", None)
        message = crash.message if crash else str(failures[0].longrepr)
        case.why = message.splitlines()[0][:300]


def results() -> dict[str, Any]:
    """The content of the JSON file."""
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
    # A lane passes its reports on; the process that hands out the tests writes the file.
    if not _CASES or hasattr(session.config, "workerinput"):
        return
    path = Path(os.environ.get(RESULTS_VARIABLE, RESULTS))
    path.parent.mkdir(parents=True, exist_ok=True)
    found = results()
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    # pytest does not fail on a skipped test; a fault that was not caused must fail the run.
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
