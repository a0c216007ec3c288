"""Results of the walks: rows of each ansible-core, and the table of all in a document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .controllers import ROOT

DOCUMENT = ROOT / "docs" / "supported-versions.md"
NOT_TRIED = ("RHEL 9 and 10 families", "Ubuntu 22.04 and 24.04")
HEAD = (
    "| host | its Python | its PostgreSQL | ansible-core | on Python | verdict | first run"
    " | second run |"
)
# Where the table stands in the document.
BEGIN, END = "<!-- written by make matrix -->\n", "<!-- end -->\n"


def write(folder: Path, core: str, rows: Sequence[str]) -> None:
    """Keep the rows of one ansible-core in place of its earlier ones."""
    (folder / f"rows-{core}.json").write_text(json.dumps(list(rows), indent=1))


def table(folder: Path, lacking: Sequence[tuple[str, str]]) -> str:
    """Return the table of all results that are kept.

    Args:
        folder: of the results.
        lacking: ansible-cores that could not be tried, and why.
    """
    kept = sorted(folder.glob("rows-*.json"))
    rows = [row for file in kept for row in json.loads(file.read_text())]
    rows += [f"| any | | | {core} | | not tried: {why} | | |" for core, why in lacking]
    rows += [
        f"| {name} | | | | | not tried: no root of it can be had here | | |" for name in NOT_TRIED
    ]
    return "\n".join([HEAD, "|" + "---|" * 8, *rows])


def write_document(folder: Path, lacking: Sequence[tuple[str, str]]) -> None:
    """Write the table into the document."""
    before, _begin, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = f"{before}{BEGIN}\n{table(folder, lacking)}\n\n{END}{after}"
    DOCUMENT.write_text(text, encoding="utf-8")
