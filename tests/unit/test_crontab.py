"""Managing an entry of a crontab leaves the other entries alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.module_utils.common import crontab

NAME = "chefwell.resilience disk monitor"
MARK = f"#Ansible: {NAME}"
JOB = "/root/restaurante/scripts/monitor-disk-space.sh"
ENTRY = f"0 */6 * * * {JOB}"
FOREIGN = "15 2 * * 0 /usr/bin/true"


@pytest.mark.parametrize(
    ("before", "with_it", "without_it"),
    [
        ([], [MARK, ENTRY], []),
        ([FOREIGN], [FOREIGN, MARK, ENTRY], [FOREIGN]),
        # The entry keeps its place, another schedule is corrected, a second entry is removed.
        ([MARK, ENTRY, FOREIGN], [MARK, ENTRY, FOREIGN], [FOREIGN]),
        ([MARK, f"5 1 * * * {JOB} --more", FOREIGN], [MARK, ENTRY, FOREIGN], [FOREIGN]),
        ([MARK, f"@daily {JOB}", FOREIGN], [MARK, ENTRY, FOREIGN], [FOREIGN]),
        ([MARK, ENTRY, MARK, ENTRY], [MARK, ENTRY], []),
        # The line was deleted and its comment left: the line below belongs to the user.
        ([MARK, FOREIGN], [FOREIGN, MARK, ENTRY], [FOREIGN]),
        ([MARK, "#Ansible: another", FOREIGN], ["#Ansible: another", FOREIGN, MARK, ENTRY], None),
        ([MARK], [MARK, ENTRY], []),
        ([MARK, "", "MAILTO=root"], ["", "MAILTO=root", MARK, ENTRY], ["", "MAILTO=root"]),
        # The folder of the commands was moved.
        (
            [MARK, "0 */6 * * * /opt/old/monitor-disk-space.sh", FOREIGN],
            [MARK, ENTRY, FOREIGN],
            [FOREIGN],
        ),
        # The name of the entry was another one.
        (["#Ansible: chefwell.resilience disk", ENTRY, FOREIGN], [MARK, ENTRY, FOREIGN], [FOREIGN]),
        (
            ["#Ansible: chefwell.resilience disk", FOREIGN],
            ["#Ansible: chefwell.resilience disk", FOREIGN, MARK, ENTRY],
            None,
        ),
        # A line with the same command but without the comment belongs to the user.
        ([ENTRY], [ENTRY, MARK, ENTRY], [ENTRY]),
    ],
)
def test_one_line_comes_and_goes(
    before: list[str], with_it: list[str], without_it: list[str] | None
) -> None:
    assert crontab.with_entry(before, NAME, JOB, "0 */6 * * *") == with_it
    assert crontab.with_entry(with_it, NAME, JOB, "0 */6 * * *") == with_it
    if without_it is not None:
        assert crontab.with_entry(before, NAME, JOB, None) == without_it


def test_a_drill_whose_command_was_removed_by_hand_mails_nothing(tmp_path: Path) -> None:
    """cron mails what a line prints, and the shell prints that it finds no command."""
    tasks = Path(__file__).parents[2] / "roles" / "staging_restore" / "tasks" / "main.yml"
    (job,) = (
        entry["job"]
        for task in yaml.safe_load(tasks.read_text())
        for entry in task.get("chefwell.resilience.cron_entry", {}).get("cron_entries", [])
    )
    line = job.replace("{{ host_kit_scripts_dir }}", str(tmp_path / "gone"))
    ended = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (127, b"", b"")
