"""Peaks of memory of a sync and a verification with 500,000 backups in an account."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab
from bench.rows import offsite_memory

TITLE = (
    f"memory of this host's processes with {offsite_memory.FILES} small backups in mode account,"
    " both sides in memory"
)
COLLECTION = (
    "three syncs (the first with --json, one with a new backup), three verifications"
    " (the last a day later and with --json)"
)
REFERENCE = "rsync --archive over the same sshd"
NOTE = ""
ROUNDS = 1


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab in which nothing was sent yet."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as found:
        found.fill(offsite_memory.FILES, 200, minutes=1)
        found.use_account()
        found.note_memory()
        yield found


def collection(lab: Lab) -> dict[str, int]:
    """Run everything; the note names the peak of each process beside the aim."""
    global NOTE
    NOTE = offsite_memory.note(offsite_memory.peaks_of(lab, offsite_memory.client_steps(lab)))
    return offsite_lab.held(lab.copy)


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync."""
    lab.rsync()
    return offsite_lab.held(lab.plain)
