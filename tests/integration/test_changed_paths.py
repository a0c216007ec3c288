"""A path that changes leaves nothing behind: neither after the next run nor after the rollback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from support.ansible_run import run_module
from support.play_host import PlayHost


def stage(root: Path, scripts: str, backups: str) -> dict[str, Any]:
    """Arguments of a stage with two commands and a marker that is made once."""
    return {
        "config_file": str(root / "etc" / "offsite.json"),
        "config": {"backup_path": str(root / backups)},
        "scripts_dir": str(root / scripts),
        "commands": ["sync-backups-offsite", "verify-offsite-backups"],
        "python": sys.executable,
        "lib_dir": str(root / "lib"),
        "texts": [
            {
                "path": str(root / backups / ".chefwell-backups"),
                "content": "here\n",
                "mode": "0644",
                "unless": str(root / "state.json"),
            }
        ],
    }


def files(root: Path) -> set[str]:
    """The paths of all files below a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_moved_folder_and_a_moved_marker(tmp_path: Path) -> None:
    scripts = "two words/ü"
    for folder in ("old", "new", scripts):
        (tmp_path / folder).mkdir(parents=True)
    own = {"old/a.dump", f"{scripts}/owner.sh"}
    for name in own:
        (tmp_path / name).write_text("the owner's\n")
    assert run_module("stage_install", **stage(tmp_path, scripts, "old"))["changed"]
    (tmp_path / "state.json").write_text("{}")  # a first sync went well
    installed = files(tmp_path)
    moved = stage(tmp_path, "elsewhere", "new")
    predicted = run_module("stage_install", "--check", **moved)
    assert files(tmp_path) == installed
    done = run_module("stage_install", **moved)
    assert done["removed"] == predicted["removed"] and len(done["removed"]) == 3
    now = {"elsewhere/sync-backups-offsite.sh", "elsewhere/verify-offsite-backups.sh"}
    kept = {"etc/offsite.json", "etc/offsite.installed", "state.json"}
    assert files(tmp_path) == own | now | kept | {"new/.chefwell-backups"}

    # A tree that is not mounted is not marked, though its path is the same.
    (tmp_path / "new" / ".chefwell-backups").unlink()
    assert not run_module("stage_install", **moved)["changed"]

    # The rollback knows the paths, whatever the variables are by then.
    run_module("stage_remove", config_file=moved["config_file"])
    assert files(tmp_path) == own | {"state.json"}


def test_a_run_may_begin_at_any_task(tmp_path: Path) -> None:
    """With the default paths, which the tasks that are left out would have loaded."""
    host = PlayHost(tmp_path, disk_monitor_cron_enabled=False, resilience_backup_path=str(tmp_path))
    for name in ("host_kit_scripts_dir", "host_kit_config_dir", "host_kit_state_dir"):
        del host.variables[name]
    for playbook, task in (
        ("stage1_disk_monitor.yml", "Run the monitor and the dashboard once"),
        ("stage3_staging_restore.yml", "Run a restore drill of the newest backup"),
    ):
        run = host.run(playbook, "--check", "--start-at-task", task)
        assert run.returncode == 0 and "undefined" not in run.stdout, run.stdout
        assert f"TASK [chefwell.resilience.{'disk' if '1' in playbook else 'stag'}" in run.stdout


def test_the_engine_moves_as_a_whole(tmp_path: Path) -> None:
    """Its folder, the file of the doctor and its command; the folder that it leaves is gone."""

    def install(lib: str) -> dict[str, Any]:
        return run_module(
            "engine_install",
            dest=str(tmp_path / lib / "chefwell_resilience"),
            texts=[
                {"path": str(tmp_path / lib / "doctor.json"), "content": "{}\n", "mode": "0644"}
            ],
            record=str(tmp_path / "etc" / "engine.installed"),
        )

    assert install("old")["changed"]
    before = {path.partition("/")[2] for path in files(tmp_path) if path.startswith("old/")}
    assert install("new")["changed"] and not install("new")["changed"]
    after = {path.partition("/")[2] for path in files(tmp_path) if path.startswith("new/")}
    assert after == before and len(after) > 200
    assert not (tmp_path / "old" / "chefwell_resilience").exists()
    assert not (tmp_path / "old" / "doctor.json").exists()
