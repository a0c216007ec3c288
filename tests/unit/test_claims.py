"""Each claim of the documents has a proof that exists: a test, a row, a command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\|(.+)\|$", PAGE, re.M)
    if not line.startswith("---") and "proved by" not in line
]
FAULTS = set(tomllib.loads((ROOT / "tests" / "faults" / "rows.toml").read_text(encoding="utf-8")))
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


BENCH = {path.stem for path in (ROOT / "bench" / "rows").glob("*.py")}
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
}


def proofs(cell: str) -> list[str]:
    """What a cell names, each checked to be there."""
    named = re.findall(r"`([^`]+)`", cell)
    gone = [
        one
        for one in named
        if one not in TESTS | BENCH and one.removeprefix("make ") not in TARGETS
    ]
    assert gone == [], f"{gone} is not there"
    rows = re.findall(r"\b([A-E]\d+)\b", cell)
    assert set(rows) <= FAULTS, f"{set(rows) - FAULTS} is not there"
    return [*(one for one in named if one != "make faults"), *rows]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_a_claim_has_a_proof(row: list[str]) -> None:
    claim, cell = row
    assert claim and proofs(cell), row


def test_a_proof_that_is_gone_is_found() -> None:
    with pytest.raises(AssertionError, match="is not there"):
        proofs("`test_that_nobody_wrote`")
    with pytest.raises(AssertionError, match="is not there"):
        proofs("row E99 of `make faults`")
    assert proofs("`make faults`") == [] and len(ROWS) > 50
