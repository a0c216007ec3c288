"""Peaks of memory of a sync, a verification and the server's job with 500,000 backups."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 500_000
AIM = 200
TITLE = f"memory of every process of both sides with {FILES} small backups, both sides in memory"
COLLECTION = (
    "three syncs (the first with --json, one with a new backup), three verifications"
    " (the last a day later and with --json),"
    " the server's job twice"
)
REFERENCE = "rsync --archive over the same sshd"
NOTE = ""
ROUNDS = 1


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab in which nothing was sent yet."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as found:
        found.fill(FILES, 200, minutes=1)
        found.note_memory()
        yield found


def collection(lab: Lab) -> dict[str, int]:
    """Run everything; the note names the peak of each process beside the aim."""
    global NOTE
    NOTE = note(work(lab))
    return offsite_lab.held(lab.copy)


def note(peaks: list[tuple[str, int]]) -> str:
    """Return the peak of each process of each step beside the aim."""
    worst = max(peak for _step, peak in peaks)
    listed = ", ".join(f"{step} {peak}" for step, peak in peaks)
    return f"peaks in MB, the aim is below {AIM}, the worst {worst}: {listed}"


def work(lab: Lab) -> list[tuple[str, int]]:
    """Return the peak of memory, in MB, of each process of each step."""
    return peaks_of(lab, [*client_steps(lab), ("first job", lab.keep), ("job", lab.keep)])


def client_steps(lab: Lab) -> list[tuple[str, Callable[[], None]]]:
    """Return the steps that a host begins."""
    return [
        # With --json, a command names every file.
        ("first sync", lambda: lab.plain_command("sync-backups-offsite", "--json")),
        ("a new backup", lambda: sync_new(lab)),
        ("unchanged sync", lambda: lab.plain_command("sync-backups-offsite")),
        ("first verification", lambda: lab.plain_command("verify-offsite-backups")),
        ("verification", lambda: lab.plain_command("verify-offsite-backups")),
        # A share of the backups is read again each day.
        ("a day later", lambda: lab.plain_command("verify-offsite-backups", "--json")),
    ]


def sync_new(lab: Lab) -> None:
    """Sync a tree with one new backup, as every night."""
    lab.fill(1, 200, minutes=-1)
    lab.plain_command("sync-backups-offsite")


def peaks_of(lab: Lab, steps: Sequence[tuple[str, Callable[[], None]]]) -> list[tuple[str, int]]:
    """Run steps, and return the peak of memory, in MB, of each process of each."""
    found = []
    for name, step in steps:
        if name == "a day later":
            offsite_lab.age_digests(lab)
        step()
        found += [(f"{name}: {process}", peak) for process, peak in lab.peaks()]
    return found


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync."""
    lab.rsync()
    return offsite_lab.held(lab.plain)
