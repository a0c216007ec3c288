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
    entry = archive_entry.Entry(1, "TABLE", "t", "public", "", "", None, False)
    toc = archive_toc.Toc((1, 16), "custom", "gzip", "", "16", "16", [entry] * entries, 0, 4)
    made = Archive("x", "x", kinds.BY_NAME["custom"], "none", 1, toc, data_bytes=data)
    assert (kind_archive.best_jobs(made) > 1) == several
    assert kind_archive.default_jobs() > 1
