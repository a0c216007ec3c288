"""`python -m bench`: run the rows, print a table, write build/bench/results.json."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from testbed import Testbed

from . import harness

RESULTS = ROOT / "build" / "bench" / "results.json"


def main(arguments: list[str] | None = None) -> int:
    """Run the rows; return 0, 1 when a row failed, 2 when no row matches."""
    parser = argparse.ArgumentParser(
        prog="bench", description="the collection and a reference, side by side"
    )
    parser.add_argument("rows", nargs="*", help="names, or parts of them; all when left out")
    parser.add_argument("--rounds", type=int, help="runs of each side")
    parser.add_argument("--tenants", type=int, default=100, help="of the testbed (100)")
    parser.add_argument("--scale", type=float, default=1, help="factor on its rows (1)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write them")
    options = parser.parse_args(arguments)
    rows = harness.find(options.rows)
    if not rows:
        report(f"no row is named like {options.rows}: {[row.name for row in harness.find([])]}")
        return 2
    with tempfile.TemporaryDirectory(prefix="chefwell-bench-") as folder:
        # PostgreSQL runs as another user than root, and must reach its folder.
        Path(folder).chmod(0o755)
        bed = Testbed.up(
            Path(folder) / "bed",
            tenants=options.tenants,
            scale=options.scale,
            report=report,
            newest_only=True,
        )
        try:
            measured = [harness.measure(row, bed, options.rounds, report) for row in rows]
        finally:
            bed.down()
    found = harness.results(measured, options.tenants, options.scale)
    harness.write(options.results, found)
    for line in harness.table(found):
        print(line)
    print(f"results: {options.results}")
    return 1 if found["failed"] else 0


def report(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
