"""The benchmark runs both sides in turn, and does not compare different work."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import harness


@contextlib.contextmanager
def prepared(_bed: object) -> Iterator[list[str]]:
    yield []


def row(**sides: Any) -> harness.Row:
    texts = {"TITLE": "t", "COLLECTION": "c", "REFERENCE": "r", "prepared": prepared}
    return harness.Row("row", SimpleNamespace(**texts, **sides))


def measure(one: harness.Row, rounds: int = 3) -> harness.Measurement:
    return harness.measure(one, None, rounds, lambda _line: None)


def test_the_sides_take_turns() -> None:
    turns: list[str] = []
    sides = {
        "collection": lambda _fixture: turns.append("A"),
        "reference": lambda _fixture: turns.append("B"),
    }
    found = measure(row(**sides))
    assert "".join(turns) == "ABABAB" and found.problem is None
    written = harness.results([found], 1, 1)
    assert written["failed"] == 0 and written["rows"][0]["rounds"] == 3


@pytest.mark.parametrize(
    ("collection", "reference", "problem"),
    [
        ([1, 1], [1, 2], "reference returned 2, and 1 before"),
        ([1, 1], [2, 2], "not the same work"),
        ([1], [], "IndexError"),
    ],
)
def test_what_is_not_the_same_work_is_a_failed_row(
    collection: list[int], reference: list[int], problem: str
) -> None:
    one = row(
        collection=lambda _fixture: collection.pop(0), reference=lambda _fixture: reference.pop(0)
    )
    found = measure(one, 2)
    assert found.problem and problem in found.problem
    written = harness.results([found], 1, 1)
    assert written["failed"] == 1 and "ratio" not in written["rows"][0]
    assert any("FAILED" in line for line in harness.table(written))


def test_figures() -> None:
    found = harness.figures([1.0, 3.0, 2.0])
    assert (found["median"], found["fastest"], found["slowest"]) == (2.0, 1.0, 3.0)
    assert found["spread_percent"] == 100.0


def test_a_run_on_a_real_testbed(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "bench", "--rounds", "1", "--tenants", "1"]
    # The other rows take minutes each; the harness is the same for all.
    ended = subprocess.run(
        [*command, "archive_proof", "drill_against_plan", "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(results.read_text())
    rows = {one["row"]: one for one in found["rows"]}
    assert rows["drill_against_plan"]["result"]["tables"] == 10
    assert all(
        one["ratio"] > 0 and one["ratio_lowest"] == one["ratio_highest"] for one in rows.values()
    )
    nothing = subprocess.run([*command, "no-such-row"], cwd=ROOT, capture_output=True, check=False)
    assert nothing.returncode == 2
