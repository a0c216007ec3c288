"""The plugin that records faults fails a fault of which nothing was seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
GOOD = 'fault.cause("a cut"); fault.see("refused", holds=True)'


def run(folder: Path, *tests: tuple[str, str]) -> tuple[int, str, dict[str, Any] | None]:
    """Exit code, output and results of a run with these tests, given by name and body."""
    lines = ["import pytest", *(f"def test_{name}(fault):\n    {body}" for name, body in tests)]
    (folder / "test_rows.py").write_text("\n".join(lines) + "\n")
    results = folder / "results.json"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "support.fault_log", "-q", str(folder)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "FAULT_RESULTS": str(results)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(results.read_text()) if results.exists() else None
    return ended.returncode, ended.stdout, found


def test_a_good_row_is_printed_with_what_was_caused_and_seen(tmp_path: Path) -> None:
    code, output, found = run(tmp_path, ("c1_cut", GOOD))
    assert code == 0 and found is not None
    (row,) = found["rows"]
    (case,) = row["cases"]
    assert (row["row"], row["status"], found["passed"], found["failed"]) == ("C1", "passed", 1, 0)
    assert case["caused"] == ["a cut"] and case["seen"] == ["refused"] and case["seconds"] >= 0
    assert "C2" in found["not_caused"] and "C1" not in found["not_caused"]
    assert "refused" in output and row["outcome"] in output


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("c1_false", 'fault.cause("a cut"); fault.see("taken", holds=False)'),
        ("c1_states_nothing", 'fault.cause("a cut")'),
        ("c1_causes_nothing", 'fault.see("refused", holds=True)'),
        ("c1_skipped", 'pytest.skip("not today")'),
        ("c1_skipped_later", GOOD + '; pytest.skip("not today")'),
        ("c1_breaks", GOOD + "; raise OSError"),
        ("c99_no_such_row", GOOD),
        ("unnamed", GOOD),
    ],
)
def test_what_was_not_looked_at_fails(tmp_path: Path, name: str, body: str) -> None:
    code, _output, found = run(tmp_path, (name, body), ("c2_good", GOOD))
    assert code == 1 and found is not None
    good = [row["row"] for row in found["rows"] if row["status"] == "passed"]
    assert good == ["C2"]


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    code, _output, found = run(tmp_path)
    assert code == 5 and found is None
