"""After the rollback a host is as it was before: file by file, and everything else."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

testinfra_hosts = ["ansible://production", "ansible://backup_servers"]
SNAPSHOT = Path(__file__).resolve().parents[1] / "snapshot.py"
# Of a sync: rollback keeps the copies, which are what the stage is for.
COPIES = "/backups/"
# A scenario's side effect makes a new backup, as production's own script does.
MADE_MEANWHILE = "/root/backups/daily/"
# An empty snapshot would be equal to another one.
LEAST_FILES = 5000


@pytest.fixture(scope="module")
def both(host: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    name = host.backend.hostname
    kept = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / f"before-{name}.json"
    encoded = base64.b64encode(SNAPSHOT.read_bytes()).decode("ascii")
    now = host.check_output("echo %s | base64 -d | python3 -", encoded)
    return json.loads(kept.read_text()), json.loads(now)


def test_every_file_is_as_it_was(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = (one["files"] for one in both)
    assert len(before) > LEAST_FILES and "/root" in before | after
    changes = {
        path: (before.get(path), after.get(path))
        for path in {**before, **after}
        if before.get(path) != after.get(path)
        and not path.startswith(COPIES)
        and not (path.startswith(MADE_MEANWHILE) and path not in before)
    }
    assert not changes


@pytest.mark.parametrize(
    "what",
    [
        *("packages", "packages marked", "cron", "accounts", "processes"),
        *("containers", "volumes", "networks", "images", "services"),
    ],
)
def test_everything_else_is_as_it_was(
    both: tuple[dict[str, Any], dict[str, Any]], what: str
) -> None:
    before, after = both
    assert before[what], f"the snapshot has nothing about {what}"
    assert after[what] == before[what]
