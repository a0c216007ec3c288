"""Run a first sync of 100,000 small backups in memory, beside bare rsync."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 100_000
TITLE = f"a first sync of {FILES} small backups, over ssh, both sides in memory"
COLLECTION = "sync-backups-offsite: guards, transfer, SHA-256 on both sides, placed by the server"
REFERENCE = "rsync --archive over the same sshd"
NOTE = "ratio: reference / collection; the aim is 1/1.5 = 0.67 or more"
ROUNDS = 3


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab in which nothing was sent yet."""
    with offsite_lab.in_memory(), offsite_lab.lab(FILES, 200) as found:
        yield found


def before(lab: Lab, side: str) -> None:
    """Empty the copy and the state."""
    for folder in (lab.copy, lab.plain, lab.root / "state"):
        offsite_lab.empty(folder)


def collection(lab: Lab) -> dict[str, int]:
    """Run the command as cron does."""
    lab.command("sync-backups-offsite")
    return offsite_lab.held(lab.copy)


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync."""
    lab.rsync()
    return offsite_lab.held(lab.plain)
