"""A verification of a copy in which nothing changed, beside taking every digest again."""

from __future__ import annotations

from bench import offsite_lab
from bench.offsite_lab import Lab
from bench.rows.offsite_verify_unchanged import FILES, OURS, ROUNDS, before, ours, prepared

TITLE = f"a verification of {FILES} unchanged backups with 4 GiB together, over ssh"
THEIRS = "find | xargs -P sha256sum on both sides at once, one of them over ssh, and diff"
NOTE = "ratio: theirs / ours; the aim is 20 or more"

__all__ = ["OURS", "ROUNDS", "before", "ours", "prepared"]


def theirs(lab: Lab) -> dict[str, int]:
    """As somebody would type it."""
    return {"equal": offsite_lab.equal_by_sha256sum(lab)}
