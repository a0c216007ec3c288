"""What syncs cost stays as it is (O24): processor time of both sides, which other work on the
machine hardly changes. How long they take beside rsync is measured by `make bench ROWS=offsite`."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import offsite_lab
from bench.offsite_lab import Lab

FILES = 5_000


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A host with many small backups, and its server; both in memory."""
    with offsite_lab.in_memory(), offsite_lab.lab(FILES, 200) as made:
        yield made


def processor_seconds(lab: Lab, work: Callable[[], object]) -> float:
    """The processor time of some work, on both sides."""

    def used() -> float:
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of the sessions of sshd that have ended (proc(5), `cutime` and `cstime`).
        fields = Path(f"/proc/{lab.server.process.pid}/stat").read_text().rpartition(") ")[2]
        of_server = sum(map(int, fields.split()[13:15])) / os.sysconf("SC_CLK_TCK")
        return own.ru_utime + own.ru_stime + of_server

    before = used()
    work()
    return used() - before


def test_a_first_sync_and_an_unchanged_one_cost_little_more_than_rsync(lab: Lab) -> None:
    first = processor_seconds(lab, lambda: lab.plain_command("sync-backups-offsite"))
    bare = processor_seconds(lab, lab.rsync)
    assert offsite_lab.held(lab.copy) == offsite_lab.held(lab.plain)
    unchanged = processor_seconds(lab, lambda: lab.plain_command("sync-backups-offsite"))
    bare_unchanged = processor_seconds(lab, lambda: lab.rsync("--dry-run"))
    print(f"first {first:.2f} ({bare:.2f}), unchanged {unchanged:.2f} ({bare_unchanged:.2f}) s")
    # Digests on both sides, guards, ledger and two starts of Python included.
    assert first < 2.5 * bare + 1
    assert unchanged < 2 * bare_unchanged + 0.6


def test_after_a_year_of_syncs_they_cost_the_same(lab: Lab) -> None:
    """Each night has left a folder of previous versions, and an entry of it."""

    def sync() -> None:
        lab.plain_command("sync-backups-offsite")

    sync()
    before = min(processor_seconds(lab, sync) for _number in range(2))
    for night in range(365):
        folder = lab.copy / f"old_2025{1 + night // 31:02}{1 + night % 31:02}_030000" / "daily"
        folder.mkdir(parents=True)
        (
            folder / f"chefwell_backup_2024{1 + night // 31:02}{1 + night % 31:02}_030000.dump.gz"
        ).touch()
    after = min(processor_seconds(lab, sync) for _number in range(2))
    print(f"before {before:.2f} s, after a year {after:.2f} s")
    assert after < 1.3 * before + 0.2
