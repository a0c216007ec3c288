"""A line of ours in a crontab, and never one of somebody else's."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import crontab

NAME = "chefwell.resilience disk monitor"
MARK = f"#Ansible: {NAME}"
JOB = "/root/restaurante/scripts/monitor-disk-space.sh"
OURS = f"0 */6 * * * {JOB}"
THEIRS = "15 2 * * 0 /usr/bin/true"


@pytest.mark.parametrize(
    ("before", "with_it", "without_it"),
    [
        ([], [MARK, OURS], []),
        ([THEIRS], [THEIRS, MARK, OURS], [THEIRS]),
        # Ours keeps its place, another schedule is mended, twice is once.
        ([MARK, OURS, THEIRS], [MARK, OURS, THEIRS], [THEIRS]),
        ([MARK, f"5 1 * * * {JOB} --more", THEIRS], [MARK, OURS, THEIRS], [THEIRS]),
        ([MARK, f"@daily {JOB}", THEIRS], [MARK, OURS, THEIRS], [THEIRS]),
        ([MARK, OURS, MARK, OURS], [MARK, OURS], []),
        # Somebody deleted the line and left the comment: what stands below is his.
        ([MARK, THEIRS], [THEIRS, MARK, OURS], [THEIRS]),
        ([MARK, "#Ansible: another", THEIRS], ["#Ansible: another", THEIRS, MARK, OURS], None),
        ([MARK], [MARK, OURS], []),
        ([MARK, "", "MAILTO=root"], ["", "MAILTO=root", MARK, OURS], ["", "MAILTO=root"]),
        # A line of the same command that nobody named ours is not.
        ([OURS], [OURS, MARK, OURS], [OURS]),
    ],
)
def test_one_line_comes_and_goes(
    before: list[str], with_it: list[str], without_it: list[str] | None
) -> None:
    assert crontab.with_entry(before, NAME, JOB, "0 */6 * * *") == with_it
    assert crontab.with_entry(with_it, NAME, JOB, "0 */6 * * *") == with_it
    if without_it is not None:
        assert crontab.with_entry(before, NAME, JOB, None) == without_it
