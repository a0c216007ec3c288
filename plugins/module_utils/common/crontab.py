# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add, change or remove one entry of a crontab that other entries share.

An entry is a line below a comment that names it, the same comment that `ansible.builtin.cron`
writes. That module takes whatever line stands below for the entry: where a person has deleted the
line and left the comment, the next line would be overwritten or removed. Here a line belongs to the
entry only if it also runs the entry's command: the same file name, in whatever folder, because
folders are moved.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

# Five fields or one of crontab(5)'s words, then the command.
_LINE = re.compile(r"\s*(?:@\w+|(?:[^\s#]\S*\s+){4}\S+)\s+(\S+)")
_MARK = "#Ansible: {}"
# What all comments of this collection begin with.
_NAMED = _MARK.format("chefwell.resilience ")


def with_entry(lines: Sequence[str], name: str, job: str, schedule: str | None) -> list[str]:
    """Return a crontab with one entry as given, or without it.

    Args:
        lines: the crontab.
        name: of the entry, in the comment above it.
        job: what it runs; the file name of its first word, a path, identifies the line.
        schedule: the five fields; None to remove the entry.

    Returns:
        The lines; the same ones where nothing changes. An entry keeps its place.
    """
    mark = _MARK.format(name)
    kept: list[str] = []
    place: int | None = None
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        below = rest[0] if rest else ""
        # An entry whose name has changed runs the very same job.
        renamed = line.startswith(_NAMED) and bool(below) and _runs(below, job)
        if line.strip() != mark and not renamed:
            kept.append(line)
            continue
        if renamed or os.path.basename(_command(below) or "") == os.path.basename(job.split()[0]):
            rest.pop(0)
            place = len(kept) if place is None else place
    if schedule is not None:
        place = len(kept) if place is None else place
        kept[place:place] = [mark, f"{schedule} {job}"]
    return kept


def _runs(line: str, job: str) -> bool:
    """Return whether a line runs a job with the same arguments."""
    found = _LINE.match(line)
    return found is not None and line[found.start(1) :].split() == job.split()


def _command(line: str) -> str | None:
    found = _LINE.match(line)
    return found[1] if found else None
