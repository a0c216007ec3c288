"""Manifests whose backup was rotated away: named, and removed by the command alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import manifest

DAY = 86400


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two tiers; of each one backup is there and one was rotated away."""
    for tier in ("daily", "weekly"):
        folder = tmp_path / "backups" / tier
        folder.mkdir(parents=True)
        (folder / "kept.dump.gz").write_text("x")
        for name in ("kept", "gone"):
            beside = folder / f"{name}.dump.gz{manifest.SUFFIX}"
            beside.write_text("{}")
            os.utime(beside, (time.time() - 2 * DAY,) * 2)
        (folder / "notes.json").write_text("{}")
        (folder / f"link{manifest.SUFFIX}").symlink_to("/etc/hostname")
    return tmp_path / "backups"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_orphan_is_a_manifest_without_its_backup(tree: Path) -> None:
    gone = str(tree / "daily" / f"gone.dump.gz{manifest.SUFFIX}")
    assert manifest.orphans(str(tree / "daily")) == [gone]
    assert manifest.orphans(str(tree / "daily"), older_than=3 * DAY) == []
    assert manifest.orphans(str(tree / "nowhere")) == []


def run(tree: Path, *arguments: str) -> int:
    config = tree.parent / "staging.json"
    values = {"work_dir": str(tree), "state_dir": str(tree), "backup_path": str(tree)}
    log = str(tree.parent / "log")
    config.write_text(json.dumps({**values, "log_file": log, "backup_tiers": ["daily", "weekly"]}))
    return host_cli.main(["backup-manifest", "--config", str(config), *arguments])


def test_the_command_names_them_and_removes_them(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(tree / "daily")
    assert run(tree, "--orphans", "list") == 0
    listed = capsys.readouterr().out
    assert listed.count("Manifesto sem o seu backup") == 2 and names(tree / "daily") == before
    assert run(tree, "--json", "--orphans", "remove") == 0
    assert len(json.loads(capsys.readouterr().out)["orphans"]) == 2
    for tier in ("daily", "weekly"):
        left = {f"gone.dump.gz{manifest.SUFFIX}"} ^ {*before}
        assert set(names(tree / tier)) == left
    assert (tree.parent / "log").read_text().count("removed ") == 2
    assert run(tree, "--orphans", "list") == 0
    assert "Todo manifesto tem o seu backup" in capsys.readouterr().out


def test_without_a_backup_or_a_command_nothing_runs(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tree, "--backup", str(tree / "x")) == 3
    assert "COMMAND" in capsys.readouterr().err
    assert run(tree) == 3
    assert "--backup" in capsys.readouterr().err
