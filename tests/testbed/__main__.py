"""The testbed from a shell: `PYTHONPATH=tests python -m testbed up|down|status --root DIR`."""

from __future__ import annotations

import argparse
import json
import sys

from . import record
from .bed import Testbed
from .engine import ResilienceError


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0; 1 from `status` when a server is not running; 2 when something is wrong."""
    parser = argparse.ArgumentParser(prog="testbed", description="ChefWell in miniature")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, says in (
        ("up", "make it and start it, or start again what has ended"),
        ("down", "end it and remove everything it made"),
        ("status", "which of its servers run"),
    ):
        command = commands.add_parser(name, help=says)
        command.add_argument("--root", required=True, help="its folder")
        if name == "up":
            command.add_argument("--tenants", type=int, default=100, help="how many (100)")
            command.add_argument("--seed", type=int, default=1, help="same seed, same rows (1)")
            command.add_argument("--scale", type=float, default=1, help="factor on the rows (1)")
    options = parser.parse_args(arguments)
    try:
        if options.command == "up":
            bed = Testbed.up(
                options.root,
                tenants=options.tenants,
                seed=options.seed,
                scale=options.scale,
                report=_report,
            )
            print(bed.root / record.NAME)
            return 0
        found = Testbed.open(options.root)
        if options.command == "down":
            if found:
                found.down(_report)
            _report("is down" if found else "nothing is there")
            return 0
        status = found.status() if found else {}
        print(json.dumps(status))
        return 0 if status and all(status.values()) else 1
    except ResilienceError as error:
        _report(str(error))
        return 2


def _report(line: str) -> None:
    print(f"testbed: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
