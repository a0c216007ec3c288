"""Run a sealed first sync of 1 GiB over a link of 1 Gbit/s, beside a plain one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench import offsite_lab
from bench.sealed_lab import SealedLab

FILES, SIZE, RATE = 14, 1 << 30, "1gbit"
TITLE = "a sealed first sync of 14 backups with 1 GiB together, over ssh and a link of 1 Gbit/s"
COLLECTION = "sync-backups-offsite with resilience_seal: encrypted, signed, placed by the server"
REFERENCE = "sync-backups-offsite without it, to the same server"
NOTE = "ratio: reference / collection; the aim is 1/1.15 = 0.87 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[SealedLab]:
    """Make a lab in which nothing was sent yet."""
    with offsite_lab.lab(FILES, SIZE // FILES, RATE) as found:
        yield SealedLab(found)


def before(both: SealedLab, side: str) -> None:
    """Empty the copy and the state, and flush the disk."""
    for folder in (both.lab.copy, both.lab.root / "state"):
        offsite_lab.empty(folder)
    os.sync()


def collection(both: SealedLab) -> dict[str, int]:
    """Run the sync that seals."""
    return {"sent": both.sync(sealed=True)}


def reference(both: SealedLab) -> dict[str, int]:
    """Run the plain sync."""
    return {"sent": both.sync(sealed=False)}
