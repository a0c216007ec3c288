"""Sending dumps with and without rsync's compression."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from testbed import Testbed

from bench import offsite_lab
from bench.offsite_lab import Lab

COPIES, RATE = 60, "200mbit"
TITLE = f"{COPIES} dumps of 100 stores sent over ssh and a link of 200 Mbit/s"
OURS = "as it is: offsite_backup_compress off"
THEIRS = "offsite_backup_compress on: -z, as in the plan"
NOTE = (
    "ratio: with -z / without. A dump is compressed when it is made; -z compresses it once more "
    "(rsync(1), --skip-compress: it has no effect), which saves nothing on the wire."
)
ROUNDS = 5


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Lab]:
    """The testbed's own dumps, under as many names."""
    dumps = sorted(Path(bed.record["backups"], "daily").glob("*.gz"))
    with offsite_lab.lab(0, 0, RATE) as found:
        for number in range(COPIES):
            name = f"chefwell_backup_202601{number % 28 + 1:02}_{number:06}.dump.gz"
            tier = offsite_lab.TIERS[number % len(offsite_lab.TIERS)]
            shutil.copy(dumps[number % len(dumps)], found.tree / tier / name)
        yield found


def before(lab: Lab, side: str) -> None:
    """Nothing is there, and no earlier sync is remembered."""
    for folder in (lab.copy, lab.root / "state"):
        offsite_lab.empty(folder)
    lab.configure(compress=side == "theirs")


def ours(lab: Lab) -> dict[str, int]:
    """Without."""
    return {"files": lab.command("sync-backups-offsite")["files_sent"]}


theirs = ours
