"""What forges run is what a developer runs: `.ci/run`, with targets and scenarios that exist."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
SCENARIOS = sorted(
    path.parent.name for path in (ROOT / "extensions" / "molecule").glob("*/molecule.yml")
)
# Python of each Debian, and of each ansible-core the oldest controller's.
PYTHON = {"12": 11, "13": 13}
OLDEST = {"2.19": 11, "2.20": 12, "2.21": 12}
GITHUB, GITLAB = ".github/workflows/ci.yml", ".gitlab-ci.yml"


def jobs(file: str) -> dict[str, Any]:
    held: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    if file.startswith(".github"):
        return dict(held["jobs"])
    return {name: job for name, job in held.items() if name != "default"}


def commands(job: dict[str, Any]) -> list[str]:
    """What a job runs beside installing packages."""
    lines = [step["run"] for step in job.get("steps", ()) if "run" in step] + job.get("script", [])
    return [line for line in lines if not line.startswith("apt-get ")]


def runs(file: str, name: str) -> list[dict[str, str]]:
    """The runs of a job: its matrix, with lower-case names, as the forge multiplies it."""
    job = jobs(file)[name]
    if file == GITLAB:
        rows = job["parallel"]["matrix"]
        return [run for row in rows for run in product({k.lower(): v for k, v in row.items()})]
    matrix = dict(job["strategy"]["matrix"])
    included, excluded = matrix.pop("include", []), matrix.pop("exclude", [])
    found = included + (product(matrix) if matrix else [])
    return [run for run in found if not any(one.items() <= run.items() for one in excluded)]


def product(axes: dict[str, Any]) -> list[dict[str, str]]:
    values = [[one] if isinstance(one, str) else one for one in axes.values()]
    return [dict(zip(axes, run, strict=True)) for run in itertools.product(*values)]


@pytest.mark.parametrize("file", [GITHUB, GITLAB])
def test_each_job_runs_one_target_by_the_same_script(file: str) -> None:
    found = jobs(file)
    assert set(found) == {"check", "sanity", "test", "molecule", "matrix", "docs"}
    for name, job in found.items():
        (command,) = commands(job)
        match = re.fullmatch(r"\.ci/run(?: ([a-z-]+)(?: SCENARIO=\S.*)?)?", command)
        assert match, command
        assert (match[1] or "test") == name and name in TARGETS


@pytest.mark.parametrize("name", ["check", "sanity", "test", "molecule", "matrix"])
def test_both_forges_run_the_same(name: str) -> None:
    rows = [
        sorted(map(sorted, (run.items() for run in runs(file, name)))) for file in (GITHUB, GITLAB)
    ]
    assert rows[0] == rows[1] and len(rows[0]) >= 2


@pytest.mark.parametrize("name", ["check", "sanity", "molecule"])
def test_each_supported_core_is_tried_where_its_python_is(name: str) -> None:
    found = runs(GITHUB, name)
    for run in found:
        assert PYTHON[run["debian"]] >= OLDEST[run["core"]], run
    assert {run["debian"] for run in found} == set(PYTHON)
    assert {run["core"] for run in found} >= {min(OLDEST), max(OLDEST)}
    assert jobs(GITHUB)[name]["env"] == {"ANSIBLE_CORE": "${{ matrix.core }}"}
    assert jobs(GITLAB)[name]["variables"] == {"ANSIBLE_CORE": "$CORE"}
    assert "${ANSIBLE_CORE:-}" in (ROOT / "tools" / "setup.sh").read_text()


@pytest.mark.parametrize("file", [GITHUB, GITLAB])
def test_molecule_runs_every_scenario(file: str) -> None:
    found = {run["scenario"] for run in runs(file, "molecule")}
    assert sorted(found) == SCENARIOS and len(SCENARIOS) == 4


# What GitHub takes in the elements of an issue form; with anything else it shows no form at all.
FORM_KEYS = {"label", "description", "placeholder", "value", "render", "options", "multiple"}


def unknown_keys(form: str) -> list[str]:
    """The attributes of an issue form that GitHub does not know."""
    return [
        key
        for element in yaml.safe_load(form)["body"]
        for key in element["attributes"]
        if key not in FORM_KEYS
    ]


@pytest.mark.parametrize("form", ["bug", "feature"])
def test_issue_forms_have_the_keys_that_the_forge_knows(form: str) -> None:
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / f"{form}.yml").read_text()
    assert unknown_keys(text) == []
    assert unknown_keys("body: [{attributes: {label: Seen, description: This, that.}}]") == [
        "that."
    ]


def test_a_run_that_is_excluded_is_not_counted() -> None:
    assert len(product({"a": ["1", "2"], "b": "3"})) == 2
    cores = [run["core"] for run in runs(GITHUB, "molecule") if run["debian"] == "12"]
    assert set(cores) == {"2.19"}
