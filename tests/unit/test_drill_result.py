"""The result of the last drill is read only where it is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import drill_result

RESULT: dict[str, Any] = {
    "verdict": "passed",
    "time": "2025-11-20T03:00:00+00:00",
    "backup": {"file": "x.dump", "bytes": 7},
    "phases": [{"name": "restore", "seconds": 1.5}],
    "rto_seconds": 9.0,
    "rpo_seconds": None,
}


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    drill_result.save(str(tmp_path), RESULT)
    assert drill_result.last_result(str(tmp_path)) == RESULT


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "7", '"x"', "[]", "{}", "[[1, 2]]", "[" * 100_000, '{"a":' * 100_000),
        *(
            json.dumps({**RESULT, name: value})
            for name in ("verdict", "time", "backup", "phases", "rto_seconds")
            for value in ("x", [1], {"a": 1}, -1)
            if (name, value) not in (("rto_seconds", -1), ("backup", {"a": 1}))
        ),
    ],
)
def test_anything_else_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / drill_result.RESULT).write_text(text)
    assert drill_result.last_result(str(tmp_path)) is None
