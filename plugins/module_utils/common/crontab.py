# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of ours in a crontab that is somebody else's.

Our line stands below a comment that names it, the very one that `ansible.builtin.cron` writes. That
module takes whatever stands below for its own: where a person has deleted the line and left the
comment, the next line, which may be his, would be overwritten or removed. Here a line is ours only
if it also runs our command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Five fields or one of crontab(5)'s words, then the command.
_LINE = re.compile(r"\s*(?:@\w+|(?:[^\s#]\S*\s+){4}\S+)\s+(\S+)")
_MARK = "#Ansible: {}"


def changed(lines: Sequence[str], name: str, job: str, schedule: str | None) -> list[str]:
    """The crontab with our line as it is to be, or without it.

    Args:
        lines: the crontab.
        name: what the line is called in the comment above it.
        job: what it runs; its first word, a path, tells the line from others.
        schedule: the five fields; None to have no such line.

    Returns:
        The lines; the same ones where nothing is to be done. A line of ours keeps its place.
    """
    mark = _MARK.format(name)
    kept: list[str] = []
    place: int | None = None
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        if line.strip() != mark:
            kept.append(line)
            continue
        if rest and _command(rest[0]) == job.split()[0]:
            rest.pop(0)
            place = len(kept) if place is None else place
    if schedule is not None:
        place = len(kept) if place is None else place
        kept[place:place] = [mark, f"{schedule} {job}"]
    return kept


def _command(line: str) -> str | None:
    found = _LINE.match(line)
    return found[1] if found else None
