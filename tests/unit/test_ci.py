"""What forges run is what a developer runs: `.ci/run`, with targets and scenarios that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))


def jobs(file: str) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    if file.startswith(".github"):
        return dict(held["jobs"])
    return {name: job for name, job in held.items() if name != "default"}


def commands(job: dict[str, Any]) -> list[str]:
    """What a job runs beside installing packages."""
    lines = [step["run"] for step in job.get("steps", ()) if "run" in step] + job.get("script", [])
    return [line for line in lines if not line.startswith("apt-get ")]


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".gitlab-ci.yml"])
def test_each_job_runs_one_target_by_the_same_script(file: str) -> None:
    found = jobs(file)
    assert set(found) == {"check", "sanity", "test", "molecule", "docs"}
    for name, job in found.items():
        (command,) = commands(job)
        match = re.fullmatch(r"\.ci/run(?: ([a-z-]+)(?: SCENARIO=\S.*)?)?", command)
        assert match, command
        assert (match[1] or "test") == name and name in TARGETS


def test_molecule_runs_every_scenario() -> None:
    github = jobs(".github/workflows/ci.yml")["molecule"]["strategy"]["matrix"]["scenario"]
    (gitlab,) = jobs(".gitlab-ci.yml")["molecule"]["parallel"]["matrix"]
    assert sorted(github) == sorted(gitlab["SCENARIO"]) == SCENARIOS and len(SCENARIOS) == 4


def test_both_forges_run_on_the_same_hosts() -> None:
    for name in ("check", "test"):
        github = jobs(".github/workflows/ci.yml")[name]["strategy"]["matrix"]["debian"]
        (gitlab,) = jobs(".gitlab-ci.yml")[name]["parallel"]["matrix"]
        assert github == gitlab["DEBIAN"]
