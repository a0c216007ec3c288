"""Find the rows, run the two sides of each in turn, and compute figures of their times."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import json
import os
import pkgutil
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from testbed import Testbed

from . import rows as rows_package

VERSION = 2
ROUNDS = 5
SIDES = ("collection", "reference")


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison: a file in `rows/`."""

    name: str
    module: ModuleType


@dataclasses.dataclass
class Measurement:
    """The measurement of one row.

    Attributes:
        seconds: every single time, by side.
        result: what each side returned; the same in every round.
        problem: why the row failed; None if it did not.
    """

    row: Row
    seconds: dict[str, list[float]]
    result: dict[str, Any]
    problem: str | None = None


def find(parts: Sequence[str]) -> list[Row]:
    """Return the rows whose name contains one of `parts`; all rows without parts."""
    names = sorted(found.name for found in pkgutil.iter_modules(rows_package.__path__))
    chosen = [name for name in names if not parts or any(part in name for part in parts)]
    return [Row(name, importlib.import_module(f".rows.{name}", __package__)) for name in chosen]


def measure(
    row: Row, bed: Testbed, rounds: int | None, report: Callable[[str], None]
) -> Measurement:
    """Run both sides in turn and return their times."""
    count = rounds or getattr(row.module, "ROUNDS", ROUNDS)
    found = Measurement(row, {side: [] for side in SIDES}, {})
    try:
        with row.module.prepared(bed) as fixture:
            for number in range(1, count + 1):
                for side in SIDES:
                    _turn(found, side, fixture)
                times = ", ".join(f"{side} {found.seconds[side][-1]:.2f} s" for side in SIDES)
                report(f"{row.name} {number}/{count}: {times}")
    except Exception as error:  # a row that breaks is a failed row
        found.problem = f"{type(error).__name__}: {error}"
        report(f"{row.name} failed: {found.problem}")
    return found


def _turn(found: Measurement, side: str, fixture: Any) -> None:
    if hasattr(found.row.module, "before"):
        found.row.module.before(fixture, side)
    started = time.perf_counter()
    result = getattr(found.row.module, side)(fixture)
    found.seconds[side].append(time.perf_counter() - started)
    expected = found.result.setdefault(side, result)
    if result != expected:
        raise ValueError(f"{side} returned {result}, and {expected} before")
    first = found.result[SIDES[0]]
    if result != first:
        raise ValueError(f"{side} returned {result}, {SIDES[0]} {first}: not the same work")


def figures(seconds: Sequence[float]) -> dict[str, Any]:
    """Return median and spread of some times, in seconds."""
    median = statistics.median(seconds)
    return {
        "median": round(median, 4),
        "fastest": round(min(seconds), 4),
        "slowest": round(max(seconds), 4),
        "spread_percent": round(100 * (max(seconds) - min(seconds)) / median, 1),
        "seconds": [round(one, 4) for one in seconds],
    }


def results(measured: Sequence[Measurement], tenants: int, scale: float) -> dict[str, Any]:
    """Return what the JSON file holds."""
    return {
        "version": VERSION,
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        "tenants": tenants,
        "scale": scale,
        "rows": [_row(one) for one in measured],
        "failed": sum(one.problem is not None for one in measured),
    }


def _row(one: Measurement) -> dict[str, Any]:
    module = one.row.module
    described = {
        "row": one.row.name,
        "title": module.TITLE,
        "note": getattr(module, "NOTE", ""),
        "problem": one.problem,
    }
    if one.problem is not None:
        return described
    collection, reference = (one.seconds[side] for side in SIDES)
    pairs = [other / own for own, other in zip(collection, reference, strict=True)]
    return {
        **described,
        "rounds": len(pairs),
        "result": one.result[SIDES[0]],
        "collection": {"what": module.COLLECTION, **figures(collection)},
        "reference": {"what": module.REFERENCE, **figures(reference)},
        # How many times as long the reference takes: of the medians, and of each pair.
        "ratio": round(statistics.median(reference) / statistics.median(collection), 2),
        "ratio_lowest": round(min(pairs), 2),
        "ratio_highest": round(max(pairs), 2),
    }


def table(found: dict[str, Any]) -> list[str]:
    """Return the results as lines of text."""
    lines = [f"{found['tenants']} stores, {found['machine']['cpus']} processors"]
    for row in found["rows"]:
        lines += ["", f"{row['row']}: {row['title']}"]
        if row["problem"]:
            lines.append(f"  FAILED: {row['problem']}")
            continue
        for side in SIDES:
            one = row[side]
            lines.append(
                f"  {side:<11}{one['median']:9.3f} s  spread {one['spread_percent']:5.1f} %"
                f"  {one['what']}"
            )
        lines.append(
            f"  ratio      {row['ratio']:9.2f}    pair by pair {row['ratio_lowest']:.2f} to"
            f" {row['ratio_highest']:.2f}, {row['rounds']} rounds; both returned {row['result']}"
        )
        if row["note"]:
            lines.append(f"  {row['note']}")
    return lines


def write(path: Path, found: dict[str, Any]) -> None:
    """Write the JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
