"""Verify a copy in full, beside sha256sum on both sides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE = 120, 2 << 30
TITLE = f"a verification that reads all of {FILES} backups with 2 GiB together, over ssh"
COLLECTION = "verify-offsite-backups --full"
REFERENCE = "find | xargs -P sha256sum on both sides at once, one of them over ssh, and diff"
NOTE = "ratio: reference / collection; the aim is 0.9 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab whose copy is complete."""
    with offsite_lab.lab(FILES, SIZE // FILES) as found:
        found.command("sync-backups-offsite")
        yield found


def collection(lab: Lab) -> dict[str, int]:
    """Run the command."""
    return {"equal": offsite_lab.equal(lab.command("verify-offsite-backups", "--full"))}


def reference(lab: Lab) -> dict[str, int]:
    """Take every digest with sha256sum."""
    return {"equal": offsite_lab.equal_by_sha256sum(lab)}
