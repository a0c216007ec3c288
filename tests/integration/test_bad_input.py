"""Bad input is reported in one line that names it, before anything is touched: exit code 3."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.ansible_run import ROOT


def run(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A host command from the checkout, with cron's environment."""
    engine = "ansible_collections.chefwell.resilience.plugins.module_utils.host_cli"
    return subprocess.run(
        [sys.executable, "-m", engine, *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT / "build" / "collections",
        env={},
    )


def staging(root: Path, **more: Any) -> dict[str, Any]:
    return {
        "work_dir": str(root / "work"),
        "state_dir": str(root / "state"),
        "backup_path": str(root / "backups"),
        "log_file": str(root / "log"),
        "language": "en",
        **more,
    }


@pytest.mark.parametrize(
    ("change", "arguments", "named"),
    [
        ({"tenants": {"qery": "x"}}, [], ["tenants.qery", "'x'", "did you mean 'query'?"]),
        ({"backend_port": "3001"}, [], ["backend_port", "'3001'", "int"]),
        ({"engine": "cloud"}, [], ["engine", "'cloud'", "embedded"]),
        ({"work_dir": "relative"}, [], ["work_dir", "'relative'"]),
        ({"production": {"hots": "x"}}, [], ["production", "'hots'", "host"]),
        ({"api_users": [{"email": "a@b"}]}, [], ["api.users", "password"]),
        ({}, ["--date", "yesterday"], ["date", "'yesterday'", "2025-11-20"]),
        ({}, ["--tier=--"], ["argument --tier: '--' is no value"]),
        ({}, ["--tier", "hourly"], ["tier", "'hourly'", "daily"]),
        ({}, ["--backup", "/nowhere"], ["backup", "'/nowhere'", "No such file"]),
        ({}, [], ["there is no backup", "backup_path"]),
        ({}, ["--no-such-option"], ["unrecognized arguments: --no-such-option"]),
        ({}, ["--tier", "daily", "--date", "2025-11-20"], ["not allowed with"]),
    ],
)
def test_a_drill(
    tmp_path: Path, change: dict[str, Any], arguments: list[str], named: list[str]
) -> None:
    for tier in ("daily", "weekly", "monthly"):
        (tmp_path / "backups" / tier).mkdir(parents=True)
    config = tmp_path / "staging.json"
    config.write_text(json.dumps(staging(tmp_path, **change)))
    ended = run(config, "test-restore-staging", *arguments)
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    for text in named:
        assert text in ended.stderr, ended.stderr
    assert not (tmp_path / "state").exists() and ended.stdout == ""


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, ["cannot be read", "run the stage's playbook"]),
        ("{", ["is not JSON"]),
        ("[]", ["not a JSON object"]),
        ("{}", ["a required option is missing", "state_dir"]),
    ],
)
def test_a_configuration(tmp_path: Path, content: str | None, named: list[str]) -> None:
    config = tmp_path / "staging.json"
    if content is not None:
        config.write_text(content)
    ended = run(config, "validate-staging")
    assert ended.returncode == 3 and "Traceback" not in ended.stderr
    for text in [*named, str(config)]:
        assert text in ended.stderr, ended.stderr


def test_an_unknown_command(tmp_path: Path) -> None:
    ended = run(tmp_path / "x.json", "monitor-disk-spcae")
    assert ended.returncode == 3
    assert "monitor-disk-spcae" in ended.stderr
