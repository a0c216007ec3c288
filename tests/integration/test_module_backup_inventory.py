"""The module backup_inventory, called by Ansible."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import module_call
import pytest

ROOT = Path(__file__).resolve().parents[2]

call = functools.partial(module_call.call, "backup_inventory")


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
    ("options", "said"),
    [
        ({"path": "/no/such/tree"}, "the backup tree cannot be read"),
        ({"path": "/", "compare_with": {"no": "inventory"}}, "this is no inventory"),
    ],
)
def test_errors_are_one_clear_message(options: dict[str, object], said: str) -> None:
    result = call(**options)
    assert result["failed"] and said in result["msg"]
    assert "Traceback" not in json.dumps(result)
