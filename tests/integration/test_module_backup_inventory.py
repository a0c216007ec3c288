"""The module backup_inventory, called by Ansible."""

from __future__ import annotations

import datetime
import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.ansible_run import run_module

ROOT = Path(__file__).resolve().parents[2]

call = functools.partial(run_module, "backup_inventory")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for tier in ("daily", "weekly", "monthly"):
        (tmp_path / tier).mkdir()
    (tmp_path / "daily" / "chefwell_backup_20251120_030000.dump.gz").write_bytes(b"one")
    (tmp_path / "daily" / os.fsdecode(b"'\"<b>\xff\x1b_20251119_030000.dump")).write_bytes(b"2")
    return tmp_path


def test_inventory_comparison_and_hostile_names(tree: Path) -> None:
    first = call("--check", path=str(tree))
    assert not first["failed"] and not first["changed"]
    assert first["inventory"]["total_count"] == 2
    assert first["inventory"]["tiers"]["daily"]["bytes"] == 4
    assert {file["path"] for file in first["inventory"]["files"]} == {
        "daily/chefwell_backup_20251120_030000.dump.gz",
        "daily/'\"<b>\\xff\\x1b_20251119_030000.dump",
    }
    (tree / "daily" / "chefwell_backup_20251120_030000.dump.gz").write_bytes(b"ONE")
    (tree / "weekly" / "chefwell_backup_20251116_030000.dump.gz").write_bytes(b"new")
    second = call(path=str(tree), compare_with=first["inventory"])
    assert second["comparison"] == {
        "missing": [],
        "extra": ["weekly/chefwell_backup_20251116_030000.dump.gz"],
        "different": ["daily/chefwell_backup_20251120_030000.dump.gz"],
        "compared_by": "sha256",
        "unknown": [],
        "in_sync": False,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"path": "/no/such/tree"}, "the backup tree cannot be read"),
        ({"path": "/", "compare_with": {"no": "inventory"}}, "this is not an inventory"),
    ],
)
def test_errors_are_one_clear_message(options: dict[str, object], expected: str) -> None:
    result = call(**options)
    assert result["failed"] and expected in result["msg"]
    assert "Traceback" not in json.dumps(result)


def shape(value: object) -> object:
    """A value without what it says: the type of everything in it. Keys that are the user's own
    (tiers) and the entries of lists are taken together."""
    if isinstance(value, dict):
        named = {str(key): shape(held) for key, held in value.items()}
        return {"*": next(iter(named.values()))} if {*named} <= TIERS and named else named
    if isinstance(value, list):
        return [shape(entry) for entry in value[:1]]
    return type(value).__name__


TIERS = {"daily", "weekly", "monthly"}


@pytest.fixture
def unfinished(tree: Path) -> Iterator[Path]:
    """A backup that a process of its own still writes."""
    path = tree / "daily" / "chefwell_backup_20251121_030000.dump.gz"
    code = f"import sys; file = open({str(path)!r}, 'wb'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdin and writer.stdout and writer.stdout.readline()
        yield path
        writer.stdin.close()


def test_the_samples_of_the_documentation_are_what_a_call_returns(
    tree: Path, unfinished: Path
) -> None:
    """Keys and types of each, to the innermost; nothing in the samples is left empty, so that each
    list shows what it holds."""
    module = importlib.import_module(
        "ansible_collections.chefwell.resilience.plugins.modules.backup_inventory"
    )
    documented = yaml.safe_load(module.RETURN)
    (tree / "daily" / "README").touch()
    name = "daily/chefwell_backup_20251118_030000.dump.gz"
    (tree / name).write_bytes(b"before")
    other = call(path=str(tree))["inventory"]
    (tree / name).unlink()
    first = "daily/chefwell_backup_20251120_030000.dump.gz"
    (tree / first).write_bytes(b"ONE")
    (tree / "daily" / "chefwell_backup_20251117_030000.dump.gz").write_bytes(b"extra")
    shutil.rmtree(tree / "weekly")
    result = call(path=str(tree), schedule={"daily": 24}, compare_with=other)
    assert not result["failed"], result
    assert {*documented} == {"inventory", "freshness", "comparison"} == {*result} & {*documented}
    for key, reported in documented.items():
        assert shape(reported["sample"]) == shape(result[key]), key
        assert "[]" not in str(shape(reported["sample"])), key
        if "contains" in reported:
            assert {*reported["contains"]} == {*reported["sample"]}
            kinds = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
            for name, entry in reported["contains"].items():
                assert isinstance(result[key][name], kinds[entry["type"]]), name


def backup_at(tree: Path, tier: str, moment: datetime.datetime) -> str:
    path = tree / tier / f"chefwell_backup_{moment:%Y%m%d_%H%M%S}.dump.gz"
    path.write_bytes(b"x")
    return f"{tier}/{path.name}"


def test_freshness_by_tier_and_the_missing_night(tree: Path) -> None:
    """Against the schedule that is given: each tier for itself, and one without hours not."""
    for file in (tree / "daily").iterdir():
        file.unlink()
    now = datetime.datetime.now()
    days = {
        days: now - datetime.timedelta(days=days, hours=2) for days in (0, 1, 3, 4, 9, 16, 23, 40)
    }
    nights = [backup_at(tree, "daily", days[number]) for number in (0, 1, 3, 4)]
    weeks = [backup_at(tree, "weekly", days[number]) for number in (9, 16, 23)]
    result = call(
        path=str(tree), digest=False, schedule={"daily": 24, "weekly": 168, "monthly": 744}
    )
    found = result["freshness"]
    assert {*found} == TIERS
    missed = (now - datetime.timedelta(days=2, hours=2)).astimezone()
    assert found["daily"] == {
        "newest": nights[0],
        "age_hours": pytest.approx(2, abs=0.1),
        "expected_hours": 24.0,
        "fresh": True,
        "gaps": [missed.isoformat(timespec="minutes")],
    }
    # Nine days and two hours are more than a week and a quarter of one.
    assert found["weekly"] == {
        "newest": weeks[0],
        "age_hours": pytest.approx(218, abs=0.1),
        "expected_hours": 168.0,
        "fresh": False,
        "gaps": [],
    }
    nothing = {"newest": None, "age_hours": None, "fresh": False, "gaps": []}
    assert found["monthly"] == {**nothing, "expected_hours": 744.0}
    monthly = backup_at(tree, "monthly", days[40])
    again = call(path=str(tree), digest=False, schedule={"monthly": 31 * 24})["freshness"]
    assert {*again} == {"monthly"} and again["monthly"]["newest"] == monthly
    # 40 days are more than 38 and three quarters; every 32 days 40 would be in time.
    assert again["monthly"]["fresh"] is False
    other = call(path=str(tree), digest=False, schedule={"monthly": 33 * 24})["freshness"]
    assert other["monthly"]["fresh"] is True


@pytest.mark.parametrize(
    ("pattern", "names", "ignored"),
    [
        (
            r"(?P<db>\w+)_(?P<date>\d{4}-\d\d-\d\d)_(?P<time>\d\dh\d\dm)\.\w+\.sql\.gz$",
            {"chefwell_2025-11-20_03h00m.Thursday.sql.gz": "2025-11-20T03:00:00"},
            ["latest.sql.gz", "chefwell_2025-11-20_03h00m.Thursday.sql.gz.md5"],
        ),
        (
            r"\w+_(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d:\d\d:\d\d)",
            {"chefwell_2025-11-20T03:00:01-03:00.dump": "2025-11-20T03:00:01"},
            ["pg_globals.sql"],
        ),
        (
            r"^db-(?P<date>\d{8})\.dump$",
            {"db-20251120.dump": "2025-11-20T00:00:00"},
            ["db-20251120.dump.part", "db-2025.dump"],
        ),
        (r"^whole-\d+\.tar$", {"whole-17.tar": None}, ["whole-x.tar"]),
        # A name that matches and has no date is a backup all the same.
        (r"^(?P<date>\d{8})\.dump$", {"20251399.dump": None}, []),
    ],
    ids=["autopostgresqlbackup", "pg_back", "day only", "no groups", "no such day"],
)
def test_names_of_other_tools(
    tmp_path: Path, pattern: str, names: dict[str, Any], ignored: list[str]
) -> None:
    (tmp_path / "nightly").mkdir()
    for name in (*names, *ignored):
        (tmp_path / "nightly" / name).write_bytes(b"x")
    found = call(path=str(tmp_path), tiers=["nightly"], pattern=pattern)["inventory"]
    taken = {file["path"]: file["taken_at"] for file in found["files"]}
    assert taken == {f"nightly/{name}": moment for name, moment in names.items()}
    assert found["ignored"] == sorted(f"nightly/{name}" for name in ignored)
    assert found["problems"] == []


def test_an_invalid_pattern_is_an_error(tree: Path) -> None:
    result = call(path=str(tree), pattern="(")
    assert result["failed"] and "[pattern='(']" in result["msg"]
