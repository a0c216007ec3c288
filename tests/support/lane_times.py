"""A pytest plugin that prints after a run of several lanes which file each lane ran when.

`build/test/lanes.json` holds the same as rows of lane, file, begin and end, in seconds since the
run began.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Files that take less are left out of the printed list.
SHOWN_SECONDS = 30


class LaneTimes:
    """The plugin, for the process that hands out the tests."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.spans: dict[tuple[str, str], list[float]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Record one phase of one test, as reported by a lane."""
        worker = getattr(report, "worker_id", None)
        if worker is None:
            return
        if self.first is None:
            self.first = report.start
        span = self.spans.setdefault(
            (worker, report.nodeid.split("::")[0]), [report.start, report.stop]
        )
        span[1] = max(span[1], report.stop)

    def rows(self) -> list[tuple[str, str, float, float]]:
        """Lane, file, begin and end of each file, sorted by lane and begin."""
        return sorted(
            (
                (lane, what, begun - (self.first or 0), ended - (self.first or 0))
                for (lane, what), (begun, ended) in self.spans.items()
            ),
            key=lambda row: (row[0], row[2]),
        )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the long files, and when each lane was done."""
        rows = self.rows()
        if not rows:
            return
        folder = ROOT / "build" / "test"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lanes.json").write_text(json.dumps(rows, indent=1) + "\n")
        terminalreporter.section(f"lanes; files of {SHOWN_SECONDS} s and more")
        for lane in sorted({row[0] for row in rows}):
            own = [row for row in rows if row[0] == lane]
            terminalreporter.line(f"{lane}: done after {max(row[3] for row in own):.0f} s")
            for _lane, what, begun, ended in own:
                if ended - begun >= SHOWN_SECONDS:
                    terminalreporter.line(
                        f"  {begun:5.0f} s  {ended - begun:4.0f} s  {what.removeprefix('tests/')}"
                    )
