"""Verify an unchanged copy, beside `rclone check --download`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE = 120, 4 << 30
TITLE = f"a verification of {FILES} unchanged backups with 4 GiB together, over ssh"
COLLECTION = "verify-offsite-backups as on any day: cached digests, a thirtieth read again"
REFERENCE = "rclone check --download over SFTP to the same sshd"
NOTE = (
    "ratio: reference / collection; the aim is 20 or more."
    " rclone reads everything, the collection does with --full."
)
ROUNDS = 3


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab whose copy was verified."""
    with offsite_lab.lab(FILES, SIZE // FILES) as found:
        found.command("sync-backups-offsite")
        found.command("verify-offsite-backups")
        yield found


def before(lab: Lab, side: str) -> None:
    """Age the cached digests by a day."""
    offsite_lab.age_digests(lab)


def collection(lab: Lab) -> dict[str, int]:
    """Run the command."""
    return {"equal": offsite_lab.equal(lab.command("verify-offsite-backups"))}


def reference(lab: Lab) -> dict[str, int]:
    """Run rclone."""
    return {"equal": lab.rclone_check()}
