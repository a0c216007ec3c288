"""Memory grows by little with the number of backups, on both sides of the offsite copy."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import offsite_lab
from bench.rows import offsite_memory

FEW, MANY = 1_000, 13_000
# Bytes that a backup may take, in a process of the server and of the client. With the aim of 200 MB
# for 500,000 backups it is 350 (bench row `offsite_memory`); with few, the parts that are read and
# written at one time weigh more: 700 and 1,300. When every backup was an object, it was 1,300 to
# 1,500 on the server, and 2,200 to 2,900 on the client.
MOST = {"server": 1_000, "client": 1_300}


def peaks(count: int) -> dict[str, int]:
    """Return the peak, in MB, of each process of a whole round with so many backups."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as lab:
        lab.fill(count, 200, minutes=1)
        lab.note_memory()
        found: dict[str, int] = {}
        for step, peak in offsite_memory.work(lab):
            found[step] = max(peak, found.get(step, 0))
        assert offsite_lab.held(lab.copy)["files"] == count
        return found


def test_a_backup_takes_few_bytes_in_every_process() -> None:
    few, many = peaks(FEW), peaks(MANY)
    assert {step.partition(":")[0] for step in many} == {step.partition(":")[0] for step in few}
    grown = {step: (many[step] - few[step]) * 2**20 / (MANY - FEW) for step in few if step in many}
    assert len(grown) > 9
    sides = {step: "client" if "-backups" in step else "server" for step in grown}
    assert {step: size for step, size in grown.items() if size > MOST[sides[step]]} == {}
