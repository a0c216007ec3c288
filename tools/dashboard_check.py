"""Check the dashboard with Grafana's own library: it reads all of it, and knows every key.

python tools/dashboard_check.py   in the environment of `make docs`, which has the library
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

FILE = Path(__file__).resolve().parent.parent / "monitoring/grafana/chefwell-resilience.json"


def lost(given: Any, read: Any, place: str = "") -> list[str]:
    """Return the places of what the library did not keep as it was given."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [
            one
            for key, value in given.items()
            for one in (
                lost(value, read[key], f"{place}.{key}") if key in read else [f"{place}.{key}"]
            )
        ]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        pairs = zip(given, read, strict=True)
        return [one for at, pair in enumerate(pairs) for one in lost(*pair, f"{place}[{at}]")]
    return [] if given == read else [f"{place}: {given!r} became {read!r}"]


def problems(given: dict[str, Any]) -> list[str]:
    """Return what Grafana would not take of a dashboard as it is given."""
    return lost(given, json.loads(JSONEncoder().encode(Dashboard.from_json(given))))


def main() -> int:
    """Print what is lost; return 1 if anything is, or if a wrong key is not seen."""
    given = json.loads(FILE.read_text(encoding="utf-8"))
    found = problems(given)
    wrong = problems({**given, "panels": [{**given["panels"][0], "gridPlace": {}}]})
    if wrong != [".panels[0].gridPlace"]:
        found.append(f"a wrong key was not seen: {wrong}")
    print("\n".join(found) or f"{len(given['panels'])} panels: Grafana's library knows every key")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
