"""A path that changes leaves nothing behind: neither after the next run nor after the rollback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.ansible_run import run_module
from support.filesystems import private_crontabs
from support.play_host import PlayHost

TWICE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: chefwell.resilience.disk_monitor
      vars:
        host_kit_scripts_dir: "{{ item }}"
      loop: FOLDERS
"""


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


def test_a_role_twice_in_a_play_has_one_cron_line(tmp_path: Path) -> None:
    """Of the last one; the commands of the first one go with its line."""
    first, last = tmp_path / "first", tmp_path / "last"
    host = PlayHost(tmp_path, resilience_backup_path=str(tmp_path / "dumps"))
    del host.variables["host_kit_scripts_dir"]
    playbook = tmp_path / "twice.yml"
    playbook.write_text(TWICE.replace("FOLDERS", json.dumps([str(first), str(last)])))
    with private_crontabs():
        own = "1 1 * * * /usr/local/bin/monitor-disk-space.sh\n"
        subprocess.run(["crontab", "-"], input=own, text=True, check=True)
        missing = host.run(str(playbook))  # the reason, and not the command's exit code
        assert f"{tmp_path}/dumps: cannot be measured: No such file" in missing.stdout
        (tmp_path / "dumps").mkdir()
        host.play(str(playbook))
        listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=True)
        job = f"0 */6 * * * {last}/monitor-disk-space.sh"
        mark = "#Ansible: chefwell.resilience disk monitor"
        assert listed.stdout.splitlines() == [own.strip(), mark, job]
        assert not first.exists() and (last / "disk-status.sh").exists()

        # Configuration and history that a run would leave behind are named before it.
        host.variables["host_kit_scripts_dir"] = str(last)
        elsewhere = str(tmp_path / "elsewhere")
        refused = host.run("stage1_disk_monitor.yml", "--check", host_kit_state_dir=elsewhere)
        assert refused.returncode == 2 and "changed=0" in refused.stdout, refused.stdout
        assert f"[host_kit_state_dir='{elsewhere}'] - move it before" in refused.stdout

        refused = host.run("rollback_stage1.yml", host_kit_config_dir=elsewhere)
        assert refused.returncode == 2 and "host_kit_config_dir" in refused.stdout, refused.stdout
        host.play("rollback_stage1.yml")
        listed = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=True)
    assert listed.stdout == own
    assert files(tmp_path) == {"twice.yml"} and not last.exists()
