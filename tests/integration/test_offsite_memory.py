"""Memory grows by little with the number of backups, on both sides of the offsite copy."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import offsite_lab
from bench.rows import offsite_memory, offsite_memory_sealed
from bench.sealed_lab import SealedLab

FEW, MANY = 1_000, 13_000
# Bytes that a backup may take, in a process of the server and of the client. With the aim of 200 MB
# for 500,000 backups it is 350 (bench row `offsite_memory`); with few, the parts that are read and
# written at one time weigh more: 700 and 1,300. When every backup was an object, it was 1,300 to
# 1,500 on the server, and 2,200 to 2,900 on the client.
MOST = {"server": 1_000, "client": 1_300}
# Of a sealed backup, which is two files on the server (bench row `offsite_memory_sealed`). With few
# it is 2,100 on the client. When each was an object, it was 3,000 with many.
FEW_SEALED, MANY_SEALED = 500, 5_500
MOST_SEALED = {"server": 2_000, "client": 2_600}


@contextlib.contextmanager
def filled(count: int) -> Iterator[offsite_lab.Lab]:
    """Yield a lab with so many backups."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as lab:
        lab.fill(count, 200, minutes=1)
        lab.note_memory()
        yield lab


def by_gate(count: int) -> list[tuple[str, int]]:
    """Return the peaks, in MB, of a whole round behind the gate with so many backups."""
    with filled(count) as lab:
        found = offsite_memory.work(lab)
        assert offsite_lab.held(lab.copy)["files"] == count + 1
        return found


def by_account(count: int) -> list[tuple[str, int]]:
    """Return the peaks of a whole round in an account."""
    with filled(count) as lab:
        lab.use_account()
        found = offsite_memory.peaks_of(lab, offsite_memory.client_steps(lab))
        assert offsite_lab.held(lab.copy)["files"] == count + 1
        return found


def sealed(count: int) -> list[tuple[str, int]]:
    """Return the peaks of a whole round with a sealed copy."""
    with offsite_lab.in_memory(), offsite_lab.lab(0, 0) as lab:
        both = SealedLab(lab)
        both.fill(count)
        lab.config = both.sealed
        lab.note_memory()
        return offsite_memory_sealed.work(both)


Round = Callable[[int], list[tuple[str, int]]]


@pytest.mark.parametrize(
    ("work", "few", "many", "most"),
    [
        (by_gate, FEW, MANY, MOST),
        (by_account, FEW, MANY, MOST),
        (sealed, FEW_SEALED, MANY_SEALED, MOST_SEALED),
    ],
    ids=["gate", "account", "sealed"],
)
def test_a_backup_takes_few_bytes_in_every_process(
    work: Round, few: int, many: int, most: dict[str, int]
) -> None:
    before, after = ({step: peak for step, peak in sorted(work(count))} for count in (few, many))
    assert {step.partition(":")[0] for step in after} == {step.partition(":")[0] for step in before}
    grown = {
        step: (after[step] - before[step]) * 2**20 / (many - few)
        for step in before
        if step in after
    }
    assert len(grown) >= 5
    sides = {step: "client" if "-backups" in step else "server" for step in grown}
    assert {step: size for step, size in grown.items() if size > most[sides[step]]} == {}
