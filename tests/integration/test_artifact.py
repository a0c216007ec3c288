"""The built artifact, installed into an empty folder, holds what users need and runs by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from play_host import ROOT, PlayHost

GALAXY = str(Path(sys.executable).with_name("ansible-galaxy"))
NOT_SHIPPED = ("tests", "tools", "bench", "build", ".venv", ".ci", "Makefile", "molecule")


def files_of_git(folder: Path) -> None:
    """A checkout as somebody who releases has it: what git knows or would add, nothing else."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )
    subprocess.run(
        ["xargs", "-0", "cp", "--parents", "-t", str(folder)],
        input=listed.stdout,
        check=True,
        cwd=ROOT,
    )


def test_it_runs_from_an_empty_folder(tmp_path: Path) -> None:
    source, installed = tmp_path / "source", tmp_path / "collections"
    source.mkdir()
    files_of_git(source)
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed), "LC_ALL": "C.UTF-8"}
    built = subprocess.run(
        [GALAXY, "collection", "build", "--output-path", str(tmp_path), str(source)],
        check=True,
        capture_output=True,
        env=env,
    )
    (artifact,) = tmp_path.glob("chefwell-resilience-*.tar.gz")
    subprocess.run(
        [GALAXY, "collection", "install", str(artifact), "--no-deps", "-p", str(installed)],
        check=True,
        capture_output=True,
        env=env,
    )
    home = installed / "ansible_collections" / "chefwell" / "resilience"
    assert built.returncode == 0
    for name in NOT_SHIPPED:
        assert not (home / name).exists(), name
    for name in ("README.md", "LICENSE", "docs", "playbooks/site.yml", "meta/runtime.yml"):
        assert (home / name).exists(), name

    host = PlayHost(
        tmp_path / "host",
        disk_monitor_paths=[str(tmp_path)],
        disk_monitor_backup_path=str(tmp_path),
        disk_monitor_log_file=str(tmp_path / "disk.log"),
        disk_monitor_cron_enabled=False,
    )
    by_name = host.run("chefwell.resilience.stage1_disk_monitor", collections=installed)
    assert by_name.returncode == 0, by_name.stdout + by_name.stderr
    status = host.command("disk-status")
    assert "CHEFWELL - DISK SPACE MONITOR" in status.stdout, status.stderr
    undone = host.run("chefwell.resilience.rollback_stage1", collections=installed)
    assert undone.returncode == 0, undone.stdout
