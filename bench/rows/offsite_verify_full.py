"""The first verification of a copy, which reads everything on both sides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE = 120, 2 << 30
TITLE = f"a verification that reads all of {FILES} backups with 2 GiB together, over ssh"
OURS = "verify-offsite-backups --full"
THEIRS = "find | xargs -P sha256sum on both sides at once, one of them over ssh, and diff"
NOTE = "ratio: theirs / ours; the aim is 0.9 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Copied."""
    with offsite_lab.lab(FILES, SIZE // FILES) as found:
        found.command("sync-backups-offsite")
        yield found


def ours(lab: Lab) -> dict[str, int]:
    """As somebody runs it."""
    return {"equal": offsite_lab.equal(lab.command("verify-offsite-backups", "--full"))}


def theirs(lab: Lab) -> dict[str, int]:
    """As somebody would type it."""
    return {"equal": offsite_lab.equal_by_sha256sum(lab)}
