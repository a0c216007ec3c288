"""The built artifact, installed into an empty folder, holds what users need and runs by name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.ansible_run import ROOT
from support.play_host import PlayHost

sys.path.insert(0, str(ROOT / "tools"))
import artifact

GALAXY = str(Path(sys.executable).with_name("ansible-galaxy"))
NOT_SHIPPED = (
    *("tests", "tools", "bench", "build", ".venv", ".ci", ".config", "Makefile", "molecule"),
    *(".github", ".gitlab", ".gitlab-ci.yml", "mkdocs.yml", "requirements-docs.txt"),
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built artifact, installed into an empty folder."""
    return artifact.install(GALAXY, tmp_path_factory.mktemp("artifact"))


def shipped(installed: Path) -> Path:
    return installed / "ansible_collections" / "chefwell" / "resilience"


def test_links_of_the_artifact_lead_to_files_of_the_artifact(installed: Path) -> None:
    pages = sorted(shipped(installed).rglob("*.md"))
    assert len(pages) > 30
    wrong = [
        f"{page.relative_to(shipped(installed))}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert wrong == []


def test_alert_rules_and_dashboard_are_shipped(installed: Path) -> None:
    for name in ("prometheus/alerts.yml", "grafana/chefwell-resilience.json"):
        assert (shipped(installed) / "monitoring" / name).is_file()


def test_an_execution_environment_is_installed_from_its_files_alone(
    installed: Path, tmp_path: Path
) -> None:
    """In a new virtual environment with its Python packages, a controller runs the modules."""
    meta = shipped(installed) / "meta"
    described = yaml.safe_load((meta / "execution-environment.yml").read_text())
    files = described["dependencies"]
    assert (shipped(installed) / files["system"]).is_file()
    # The pip of the tests installs into it: to make it one of its own takes as long as all else.
    make = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "ee")]
    subprocess.run(make, check=True)
    python = tmp_path / "ee" / "bin" / "python"
    requirements = str(shipped(installed) / files["python"])
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python), "install", "-q"),
            *("--no-compile", "ansible-core~=2.19.0", "-r", requirements),
        ],
        check=True,
        capture_output=True,
    )
    done = subprocess.run(
        [
            str(python.with_name("ansible")),
            *("localhost", "-m", "chefwell.resilience.disk_usage_check", "-a", "paths=/"),
        ],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and '"level"' in done.stdout, done.stdout + done.stderr


# Tasks that need nothing of a host run with any tags.
ALWAYS = re.compile("Fail below ansible-core|Validating arguments")


def stages(output: str) -> list[str]:
    """The plays that a run began, by their stage, `-` before those that take one back."""
    named = re.findall(r"^PLAY \[(Roll back s|S)tage (\d)", output, re.MULTILINE)
    return [f"-{number}" if begins == "Roll back s" else number for begins, number in named]


def tasks(host: PlayHost, installed: Path, playbook: str, *arguments: str) -> dict[str, list[str]]:
    """The tasks that a run would begin, by the stage of their play; an empty one is left out."""
    listed = host.run(playbook, "--list-tasks", *arguments, collections=installed)
    assert listed.returncode == 0, listed.stderr
    return listed_tasks(listed.stdout)


def listed_tasks(listed: str) -> dict[str, list[str]]:
    """The same of what `--list-tasks` wrote."""
    found: dict[str, list[str]] = {}
    stage = ""
    for line in listed.splitlines():
        if play := re.match(r"\s+play #\d+ \(.*\): (Roll back s|S)tage (\d)", line):
            stage = f"-{play[2]}" if play[1] == "Roll back s" else play[2]
        elif re.match(r"\s+play #", line):
            stage = "other"
        elif (
            stage != "other"
            and (task := re.match(r"\s{6}(\S.*?)\s+TAGS: ", line))
            and not ALWAYS.search(task[1])
        ):
            found.setdefault(stage, []).append(task[1])
    return found


def test_tags_choose_stages_by_path_and_by_name(installed: Path, tmp_path: Path) -> None:
    host = PlayHost(tmp_path)

    def chosen(*arguments: str, site: str = "site.yml") -> list[str]:
        return list(tasks(host, installed, site, *arguments))

    by_name = "chefwell.resilience.site"
    assert chosen(site=by_name) == ["1", "2", "3"]
    assert chosen("--tags", "stage1,stage3", site=by_name) == ["1", "3"]
    assert chosen() == ["1", "2", "3"]
    for number in "123":
        assert chosen("--tags", f"stage{number}") == [number]
        assert chosen("--skip-tags", f"stage{number}") == [one for one in "123" if one != number]
    assert chosen("--tags", "stage1,stage3") == ["1", "3"]
    assert chosen("--tags", "offsite_backup") == ["2"]


@pytest.mark.parametrize("by_name", [False, True], ids=["by path", "by name"])
def test_each_stage_and_each_rollback_has_a_playbook(
    installed: Path, tmp_path: Path, by_name: bool
) -> None:
    host = PlayHost(tmp_path)
    playbooks = {
        "stage1_disk_monitor": ["1"],
        "stage2_offsite_backup": ["2"],
        "stage3_staging_restore": ["3"],
        "rollback_stage1": ["-1"],
        "rollback_stage2": ["-2"],
        "rollback_stage3": ["-3"],
        "rollback_all": ["-3", "-2", "-1"],
    }
    begins, ends = ("chefwell.resilience.", "") if by_name else (f"{ROOT}/playbooks/", ".yml")
    *named, last = (f"{begins}{one}{ends}" for one in playbooks)
    # All in one run, because each start of Ansible takes longer than these tasks.
    listed = host.run(last, "--list-tasks", *named, collections=installed)
    assert listed.returncode == 0, listed.stderr
    each = re.split(r"^playbook: .*\n", listed.stdout, flags=re.MULTILINE)[1:]
    assert [list(listed_tasks(one)) for one in each] == list(playbooks.values())


def test_forwards_and_backwards_in_one_run_is_refused(installed: Path, tmp_path: Path) -> None:
    host = PlayHost(tmp_path / "host")
    run = host.run("chefwell.resilience.site", "--tags", "stage1,rollback", collections=installed)
    assert run.returncode != 0
    output = " ".join(run.stdout.split())
    assert "The tag rollback removes nothing here" in output
    assert "run rollback_stage1.yml" in output and "rollback_all.yml" in output
    assert stages(run.stdout) == [] and not (tmp_path / "host").exists()


def test_it_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    home = installed / "ansible_collections" / "chefwell" / "resilience"
    for name in NOT_SHIPPED:
        assert not (home / name).exists(), name
    for name in ("README.md", "LICENSE", "docs", "playbooks/site.yml", "meta/runtime.yml"):
        assert (home / name).exists(), name

    host = PlayHost(
        tmp_path / "host",
        disk_monitor_paths=[str(tmp_path)],
        disk_monitor_backup_path=str(tmp_path),
        disk_monitor_cron_enabled=False,
    )
    by_name = host.run("chefwell.resilience.site", "--tags", "stage1", collections=installed)
    assert by_name.returncode == 0, by_name.stdout + by_name.stderr
    status = host.command("disk-status")
    assert "CHEFWELL - DISK SPACE MONITOR" in status.stdout, status.stderr
    # In reverse order, also where the later stages were never installed.
    undone = host.run("chefwell.resilience.rollback_all", collections=installed)
    assert undone.returncode == 0, undone.stdout
    assert stages(undone.stdout) == ["-3", "-2", "-1"]
    assert not host.scripts.exists() and not (tmp_path / "host" / "lib").exists()
