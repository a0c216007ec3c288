"""Reads what Ansible writes about a run."""

from __future__ import annotations

import re


def changed_tasks(output: str, host: str = "") -> set[str]:
    """The names of the tasks that changed something, or would.

    Args:
        host: the one that is looked at; any when left out.
    """
    task, found = "", set()
    for line in output.splitlines():
        if named := re.match(r"TASK \[(?:chefwell\.resilience\.\w+ : )?(.*)\]", line):
            task = named[1]
        if (changed := re.match(r"changed: \[([^] ]+)", line)) and host in ("", changed[1]):
            found.add(task)
    return found


def changed_by_playbook(output: str, host: str) -> list[set[str]]:
    """`changed_tasks` of each run of a playbook that had a host, in their order."""
    # What stands before the n-th recap was written by the n-th playbook.
    parts = re.split(r"^PLAY RECAP .*$", output, flags=re.MULTILINE)
    return [
        changed_tasks(written, host)
        for written, recap in zip(parts, parts[1:], strict=False)
        if re.search(rf"^{re.escape(host)}\s+: ok=", recap.partition("\n\n")[0], re.MULTILINE)
    ]
