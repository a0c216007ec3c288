"""The names of backups: as strftime writes them, or a regular expression."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.backup_names import (
    compiled,
    taken_at,
)


@pytest.mark.parametrize(
    ("pattern", "name", "moment"),
    [
        ("bistro-%Y-%m-%d.sql.gz", "bistro-2026-11-27.sql.gz", "2026-11-27T00:00:00"),
        ("%Y%m%dT%H%M%S_db.dump", "20261127T021500_db.dump", "2026-11-27T02:15:00"),
        ("db %F %T (a+b).tar", "db 2026-11-27 02:15:00 (a+b).tar", "2026-11-27T02:15:00"),
        ("%Y_%Y-%m-%d_100%%.sql", "2026_2026-11-27_100%.sql", "2026-11-27T00:00:00"),
        ("shop-%Y-%m-%d-%H.sql", "shop-2026-11-27-03.sql", "2026-11-27T03:00:00"),
        ("", "chefwell_backup_20251120_030000.dump.gz", "2025-11-20T03:00:00"),
        (
            r"(?P<date>\d{4}-\d\d-\d\d)-(?P<time>\d\dh\d\d)",
            "2026-11-27-02h15",
            "2026-11-27T02:15:00",
        ),
        ("latest.dump", "latest.dump", None),
        ("bistro-%Y-%m-%d.sql", "bistro-2026-13-45.sql", None),
    ],
)
def test_a_name_holds_the_time_of_its_backup(pattern: str, name: str, moment: str | None) -> None:
    match = compiled(pattern).match(name)
    assert match and taken_at(match) == moment


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("bistro-%Y-%m-%d.sql.gz", "bistro-2026-11-27.sql.gz.part"),
        ("bistro-%Y-%m-%d.sql.gz", "bistro-2026-11-27xsql.gz"),
        ("bistro-%Y-%m-%d.sql.gz", "roles_2026-11-27.sql.gz"),
        ("%Y_%Y-%m-%d.sql", "2025_2026-11-27.sql"),
        ("bistro-%Y-%m-%d.sql", "bistro-2026-11-27.sql\n"),
    ],
)
def test_another_name_is_no_backup(pattern: str, name: str) -> None:
    assert compiled(pattern).match(name) is None


@pytest.mark.parametrize("pattern", ["bistro-%Q.sql", "bistro-%Y.sql", "a%", "(unclosed"])
def test_a_wrong_pattern_is_refused_with_the_option(pattern: str) -> None:
    with pytest.raises(ResilienceError) as refused:
        compiled(pattern)
    assert refused.value.option == "backup_pattern" and refused.value.remedy
