"""Peaks of memory of a sync, a verification and the server's job with 500,000 sealed files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench import offsite_lab
from bench.rows import offsite_memory
from bench.sealed_lab import SealedLab

# Each is two files on the server: sealed, and its signed link.
BACKUPS = 250_000
TITLE = f"memory of every process of both sides with {BACKUPS} small sealed backups, in memory"
COLLECTION = (
    "three syncs (the first with --json, one seals a new backup), three verifications (the last a"
    " day later and with --json), the server's job twice"
)
REFERENCE = "rsync --archive of the plain backups over the same sshd"
NOTE = ""
ROUNDS = 1


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[SealedLab]:
    """Make a lab with a copy that looks sealed."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as found:
        sealed = SealedLab(found)
        sealed.fill(BACKUPS)
        found.config = sealed.sealed
        found.note_memory()
        yield sealed


def collection(sealed: SealedLab) -> dict[str, int]:
    """Run everything; the note names the peak of each process beside the aim."""
    global NOTE
    NOTE = offsite_memory.note(work(sealed))
    return {"files": len(list(sealed.lab.tree.glob("*/*.gz")))}


def work(sealed: SealedLab) -> list[tuple[str, int]]:
    """Return the peak of memory, in MB, of each process of each step."""
    lab = sealed.lab
    _first, *others = offsite_memory.client_steps(lab)
    steps = [
        ("first listing", lambda: lab.plain_command("sync-backups-offsite", "--json")),
        *others,
        ("first job", lab.keep),
        ("job", lab.keep),
    ]
    return offsite_memory.peaks_of(lab, steps)


def reference(sealed: SealedLab) -> dict[str, int]:
    """Run the plan's rsync."""
    sealed.lab.rsync()
    return {"files": offsite_lab.held(sealed.lab.plain)["files"]}
