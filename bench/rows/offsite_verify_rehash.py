"""Verify an unchanged copy, beside sha256sum of everything on both sides."""

from __future__ import annotations

from bench import offsite_lab
from bench.offsite_lab import Lab
from bench.rows.offsite_verify_unchanged import (
    COLLECTION,
    FILES,
    ROUNDS,
    before,
    collection,
    prepared,
)

TITLE = f"a verification of {FILES} unchanged backups with 4 GiB together, over ssh"
REFERENCE = "find | xargs -P sha256sum on both sides at once, one of them over ssh, and diff"
NOTE = "ratio: reference / collection; the aim is 20 or more"

__all__ = ["COLLECTION", "ROUNDS", "before", "collection", "prepared"]


def reference(lab: Lab) -> dict[str, int]:
    """Take every digest with sha256sum."""
    return {"equal": offsite_lab.equal_by_sha256sum(lab)}
