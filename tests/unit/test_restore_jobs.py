"""How many processes restore an archive."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import (
    archive_entry,
    archive_toc,
    kind_archive,
    kinds,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.kind import Archive


@pytest.mark.parametrize(
    ("entries", "data", "several"),
    [
        (0, 0, True),
        (800, 50 << 20, True),
        (9_000, 500 << 20, True),
        # 3,000 tenants with little in each: pg_restore sorts its list again and again.
        (216_000, 200 << 20, False),
        (72_000, 20 << 20, False),
        # As many, but large: the work is in the rows.
        (72_000, 3 << 30, True),
    ],
)
def test_very_many_small_tables_take_one(entries: int, data: int, several: bool) -> None:
    assert (kind_archive.best_jobs(archive(range(1, entries + 1), data)) > 1) == several
    assert kind_archive.default_jobs() > 1


def test_one_tenant_of_very_many_takes_one() -> None:
    assert kind_archive.best_jobs(archive(range(215_900, 216_000), 1 << 20)) == 1


def archive(numbers: range, data: int) -> Archive:
    entries = [
        archive_entry.Entry(number, "TABLE", "t", "public", "", "", None, False)
        for number in numbers
    ]
    toc = archive_toc.Toc((1, 16), "custom", "gzip", "", "16", "16", entries, 0, 4)
    return Archive("x", "x", kinds.BY_NAME["custom"], "none", 1, toc, data_bytes=data)
