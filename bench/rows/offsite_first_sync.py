"""Run a first sync of 1 GiB over a link of 1 Gbit/s, beside bare rsync."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE, RATE = 14, 1 << 30, "1gbit"
TITLE = "a first sync of 14 backups with 1 GiB together, over ssh and a link of 1 Gbit/s"
COLLECTION = "sync-backups-offsite: guards, transfer, SHA-256 on both sides, placed by the server"
REFERENCE = "rsync --archive --fsync over the same sshd and link"
NOTE = "ratio: reference / collection; the aim is 1/1.05 = 0.95 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Make a lab in which nothing was sent yet."""
    with offsite_lab.lab(FILES, SIZE // FILES, RATE) as found:
        yield found


def before(lab: Lab, side: str) -> None:
    """Empty the copy and the state, and flush the disk."""
    for folder in (lab.copy, lab.plain, lab.root / "state"):
        offsite_lab.empty(folder)
    os.sync()


def collection(lab: Lab) -> dict[str, int]:
    """Run the command as cron does."""
    lab.command("sync-backups-offsite")
    return offsite_lab.held(lab.copy)


def reference(lab: Lab) -> dict[str, int]:
    """Run the plan's rsync."""
    lab.rsync("--fsync")
    return offsite_lab.held(lab.plain)
