"""Cron lines of the demo, known by Ansible's mark and the demo's folder in the command."""

from __future__ import annotations

import shutil
import subprocess

from .layout import Layout

_MARK = "#Ansible: chefwell.resilience"


def read() -> list[str]:
    """Return the lines of the user's crontab; none without a crontab."""
    if not shutil.which("crontab"):
        return []
    ended = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    return ended.stdout.splitlines() if ended.returncode == 0 else []


def without(lines: list[str], layout: Layout) -> list[str]:
    """Return the lines without the demo's pairs of a marked comment and a command."""
    kept: list[str] = []
    number = 0
    while number < len(lines):
        pair = lines[number : number + 2]
        if len(pair) == 2 and pair[0].startswith(_MARK) and f"{layout.root}/" in pair[1]:
            number += 2
            continue
        kept.append(lines[number])
        number += 1
    return kept


def remove(layout: Layout) -> int:
    """Remove the demo's lines, and a crontab that is then empty; return how many were removed."""
    before = read()
    kept = without(before, layout)
    if kept == before:
        return 0
    if any(line.strip() for line in kept):
        subprocess.run(["crontab", "-"], input="\n".join(kept) + "\n", text=True, check=True)
    else:
        subprocess.run(["crontab", "-r"], check=True)
    return len(before) - len(kept)
