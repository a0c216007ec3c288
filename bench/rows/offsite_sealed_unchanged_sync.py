"""Sync a tree of 500 unchanged sealed backups, beside a plain copy of the same tree."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from bench import offsite_lab
from bench.sealed_lab import SealedLab

FILES = 500
TITLE = f"a sync of {FILES} unchanged sealed backups, over ssh"
COLLECTION = "sync-backups-offsite with resilience_seal, the copy complete"
REFERENCE = "sync-backups-offsite without it, the copy complete"
NOTE = "ratio: reference / collection; the aim is 1/1.05 = 0.95 or more"
ROUNDS = 9


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[SealedLab]:
    """Make a complete copy in each way, and keep both."""
    with offsite_lab.lab(FILES, 2000) as found:
        both = SealedLab(found)
        for side in ("reference", "collection"):
            both.sync(sealed=side == "collection")
            _swap(both, "", side)
        yield both


def before(both: SealedLab, side: str) -> None:
    """Put the copy and the state of one side in their places."""
    held = getattr(both, "side", "")
    if held != side:
        _swap(both, side, held)
    both.side = side


def _swap(both: SealedLab, needed: str, held: str) -> None:
    """Keep what is in its place under a side's name, and put another side's there."""
    for folder in (both.lab.copy, both.lab.root / "state"):
        if held:
            shutil.move(folder, folder.with_name(f"{folder.name}-{held}"))
        if needed:
            if folder.exists():
                folder.rmdir()  # the empty one of the beginning
            shutil.move(folder.with_name(f"{folder.name}-{needed}"), folder)
        elif folder == both.lab.copy:
            folder.mkdir()


def collection(both: SealedLab) -> dict[str, int]:
    """Run the sync that seals."""
    return {"sent": both.sync(sealed=True)}


def reference(both: SealedLab) -> dict[str, int]:
    """Run the plain sync."""
    return {"sent": both.sync(sealed=False)}
