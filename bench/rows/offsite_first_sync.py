"""A first sync of 1 GB, beside bare rsync, over a link of 1 Gbit/s."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES, SIZE, RATE = 14, 1 << 30, "1gbit"
TITLE = "a first sync of 14 backups with 1 GiB together, over ssh and a link of 1 Gbit/s"
OURS = "sync-backups-offsite: guards, sent, SHA-256 taken on both sides, put in place by the server"
THEIRS = "rsync --archive --fsync over the same sshd and link"
NOTE = "ratio: theirs / ours; the aim is 1/1.05 = 0.95 or more"
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: object) -> Iterator[Lab]:
    """Nothing was sent yet."""
    with offsite_lab.lab(FILES, SIZE // FILES, RATE) as found:
        yield found


def before(lab: Lab, side: str) -> None:
    """Nothing is there, no earlier sync is remembered, and the disk is at rest."""
    for folder in (lab.copy, lab.plain, lab.root / "state"):
        offsite_lab.empty(folder)
    os.sync()


def ours(lab: Lab) -> dict[str, int]:
    """As cron runs it."""
    lab.command("sync-backups-offsite")
    return offsite_lab.held(lab.copy)


def theirs(lab: Lab) -> dict[str, int]:
    """As somebody would type it."""
    lab.rsync("--fsync")
    return offsite_lab.held(lab.plain)
