"""Which backup is chosen, among files and folders."""

from __future__ import annotations

import datetime
import gzip
import lzma
import os
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.backup_choice import choose
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "daily/shop_20251118_030000.dump.gz",
        "daily/shop_20251119_030000.dump.gz",
        "weekly/shop_20251116_030000.dump.gz",
        "daily/shop_20251120_030000/toc.dat",
        "daily/shop_20251120_030000/3001.dat",
        "weekly/shop_20251117_030000.dir/toc.dat",
        # pg_dump writes a folder's table of contents last: this one is not finished.
        "daily/shop_20251121_030000/3001.dat",
        "daily/notes/readme",
        "elsewhere/shop_20251122_030000/toc.dat",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    (tmp_path / "monthly").mkdir()
    # A link is never followed, wherever it leads.
    os.symlink(tmp_path / "elsewhere" / "shop_20251122_030000", tmp_path / "daily" / "linked")
    return tmp_path


@pytest.mark.parametrize(
    ("which", "name"),
    [
        ({}, "daily/shop_20251120_030000"),
        ({"tier": "daily"}, "daily/shop_20251120_030000"),
        ({"tier": "weekly"}, "weekly/shop_20251117_030000.dir"),
        ({"date": "2025-11-20"}, "daily/shop_20251120_030000"),
        ({"date": "2025-11-19"}, "daily/shop_20251119_030000.dump.gz"),
    ],
)
def test_the_newest_is_a_file_or_a_folder(tree: Path, which: dict[str, str], name: str) -> None:
    chosen = choose(str(tree), **which)
    assert (chosen.path, chosen.tier) == (str(tree / name), name.split("/", maxsplit=1)[0])
    assert chosen.bytes == (10 if name.endswith("1120_030000") else 5)


ROLES = b"--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE app;\n"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("shop_20991231_030000.dump.gz", b"x", "lies in the future"),
        ("roles_20251125_030000.sql", b"x", "holds roles"),
        ("globals-shop_20251125_030000.sql", b"x", "holds roles"),
        ("all_20251125_030000.sql", ROLES, "holds roles"),
        ("all_20251125_030000.sql.gz", gzip.compress(ROLES, mtime=0), "holds roles"),
        ("all_20251125_030000.sql.xz", lzma.compress(ROLES), "holds roles"),
        ("users_20251125_030000.sql", b"-- by hand\nCREATE USER app;\n", "holds roles"),
        ("many_20251125_030000.sql", ROLES + b"ALTER ROLE app;\n" * 200_000, "holds roles"),
    ],
)
def test_what_is_newer_and_no_backup_is_set_aside_and_named(
    tree: Path, name: str, content: bytes, why: str
) -> None:
    (tree / "daily" / name).write_bytes(content)
    chosen = choose(str(tree))
    assert chosen.path == str(tree / "daily" / "shop_20251120_030000")
    assert len(chosen.set_aside) == 1
    assert name in chosen.set_aside[0] and why in chosen.set_aside[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("roles-bakery_20251125_030000.dump", b"PGDMP\x01\x0e\x00"),
        ("globals_20251125_030000.sql", b"--\n-- PostgreSQL database dump\n--\nCREATE ROLE x;\n"),
        ("roles_20251125_030000.sql.gz", gzip.compress(b"PGDMP\x01\x0e\x00", mtime=0)),
        ("roles_20251125_030000.sql", b""),
        ("shop_20251125_030000.sql", b"CREATE USER x;\nCREATE TABLE t (id int);\n"),
    ],
)
def test_a_product_may_be_called_roles(tree: Path, name: str, content: bytes) -> None:
    """A dump is a backup whatever its name, and a broken one is no reason to take an older one."""
    (tree / "daily" / name).write_bytes(content)
    chosen = choose(str(tree))
    assert (os.path.basename(chosen.path), chosen.set_aside) == (name, ())


def test_a_link_is_named_and_what_it_leads_to_is_the_backup(tree: Path) -> None:
    target = tree / "daily" / "shop_20251119_030000.dump.gz"
    for number, link in enumerate((tree / "latest", tree / "latest of latest")):
        link.symlink_to(target if not number else tree / "latest")
        chosen = choose(str(tree), path=str(link))
        assert (chosen.path, chosen.taken_at) == (str(target), "2025-11-19T03:00:00")
        assert chosen.set_aside == (f"{link.name} is a symbolic link to {target}",)
        with pytest.raises(ResilienceError, match="symbolic link"):
            choose(str(tree), path=str(link), follow=False)
    (tree / "dangling").symlink_to(tree / "gone")
    with pytest.raises(ResilienceError, match="No such file"):
        choose(str(tree), path=str(tree / "dangling"))


@pytest.mark.parametrize(
    "name",
    ["shop.sql.gz", "shop_2025-11-25.dump", "shop_20251125_030000.dump.gpg", "shop_20251125.part1"],
)
def test_where_no_name_fits_the_pattern_the_files_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / name).write_bytes(b"x")
    with pytest.raises(ResilienceError, match=f"not recognised as a backup: daily/{name}"):
        choose(str(tmp_path), tiers=("daily",))


def test_a_dump_of_a_whole_server_is_a_backup(tree: Path) -> None:
    whole = ROLES + b"--\n-- PostgreSQL database dump\n--\n"
    (tree / "daily" / "all_20251125_030000.sql").write_bytes(whole)
    chosen = choose(str(tree))
    assert (os.path.basename(chosen.path), chosen.set_aside) == ("all_20251125_030000.sql", ())


def test_nothing_but_names_in_the_future_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / "shop_20991231_030000.dump").write_bytes(b"x")
    with pytest.raises(ResilienceError, match=r"there is no backup.*lies in the future"):
        choose(str(tmp_path), tiers=("daily",))


@pytest.mark.parametrize("ahead", [3, 13])
def test_a_name_in_another_time_zone_has_the_age_of_its_file(tmp_path: Path, ahead: int) -> None:
    (tmp_path / "daily").mkdir()
    named = datetime.datetime.now() + datetime.timedelta(hours=ahead)
    path = tmp_path / "daily" / f"shop_{named:%Y%m%d_%H%M%S}.dump"
    path.write_bytes(b"x")
    os.utime(path, (time.time() - 600,) * 2)
    chosen = choose(str(tmp_path), tiers=("daily",))
    assert chosen.path == str(path) and 600 <= chosen.age_seconds < 660


@pytest.mark.parametrize(("hours_ago", "ahead"), [(5, 3), (30, 10), (2, 14)])
def test_a_name_in_utc_does_not_make_a_backup_younger(
    tmp_path: Path, hours_ago: float, ahead: float
) -> None:
    """As on a host in São Paulo: the name is hours ahead of the file and still in the past."""
    (tmp_path / "daily").mkdir()
    finished = time.time() - hours_ago * 3600
    named = datetime.datetime.fromtimestamp(finished + ahead * 3600)
    path = tmp_path / "daily" / f"shop_{named:%Y%m%d_%H%M%S}.dump"
    path.write_bytes(b"x")
    os.utime(path, (finished, finished))
    age = choose(str(tmp_path), tiers=("daily",)).age_seconds
    assert hours_ago * 3600 <= age < hours_ago * 3600 + 60


def test_a_dump_that_took_hours_has_the_age_of_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "daily").mkdir()
    named = datetime.datetime.now() - datetime.timedelta(hours=6)
    path = tmp_path / "daily" / f"shop_{named:%Y%m%d_%H%M%S}.dump"
    path.write_bytes(b"x")
    age = choose(str(tmp_path), tiers=("daily",)).age_seconds
    assert 6 * 3600 <= age < 6 * 3600 + 60


def test_manifests_and_digests_are_no_backups(tree: Path) -> None:
    for end in (".manifest.json", ".sha256"):
        (tree / "daily" / f"shop_20251125_030000.dump.gz{end}").write_bytes(b"x")
    assert choose(str(tree)).path == str(tree / "daily" / "shop_20251120_030000")


def test_a_folder_at_a_path_has_its_size_and_age(tree: Path) -> None:
    chosen = choose(str(tree), path=f"{tree}/daily/shop_20251120_030000/")
    assert (chosen.bytes, chosen.taken_at) == (10, "2025-11-20T03:00:00")


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ({"tier": "monthly"}, "there is no backup of monthly"),
        ({"date": "2025-11-21"}, "there is no backup of 2025-11-21"),
        ({"date": "21/11/2025"}, "this is no day"),
        ({"tier": "hourly"}, "there is no such tier"),
        ({"path": "/nowhere/at.all"}, "cannot be read"),
    ],
)
def test_a_missing_backup_is_an_error(tree: Path, which: dict[str, str], why: str) -> None:
    with pytest.raises(ResilienceError, match=why):
        choose(str(tree), **which)
