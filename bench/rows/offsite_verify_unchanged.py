"""A verification of a copy in which nothing changed, beside rclone's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE = 120, 4 << 30
TITLE = f"a verification of {FILES} unchanged backups with 4 GiB together, over ssh"
OURS = "verify-offsite-backups as on any day: what is known is believed, a thirtieth read again"
THEIRS = "rclone check --download over SFTP to the same sshd"
NOTE = "ratio: theirs / ours; the aim is 20 or more. Rclone reads everything, ours with --full."
ROUNDS = 3


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Copied, and verified yesterday."""
    with offsite_lab.lab(FILES, SIZE // FILES) as found:
        found.command("sync-backups-offsite")
        found.command("verify-offsite-backups")
        yield found


def before(lab: Lab, side: str) -> None:
    """Another day has come."""
    offsite_lab.age_digests(lab)


def ours(lab: Lab) -> dict[str, int]:
    """As somebody runs it."""
    return {"equal": offsite_lab.equal(lab.command("verify-offsite-backups"))}


def theirs(lab: Lab) -> dict[str, int]:
    """As somebody would type it."""
    return {"equal": lab.rclone_check()}
