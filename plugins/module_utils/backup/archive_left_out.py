# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of an archive are not restored, and what they are called in a report.

The same is left out as of a plain dump, see `sql_left_out`: other servers' connections always, and
in staging what names roles, security modules and tablespaces of the server that was dumped.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .archive_entry import Entry
from .sql_left_out import LeftOut

# A subscription connects to another server, and its database cannot be dropped.
ALWAYS = ("SUBSCRIPTION", "SUBSCRIPTION TABLE")
OF_LEFT_OUT = "SUBSCRIPTION "
EVENT_TRIGGER = "EVENT TRIGGER"
_OF_DOMAIN = re.compile(r"CONSTRAINT .* ON DOMAIN ", re.DOTALL)
# Passwords for other servers, which name roles, and labels of security modules.
LINKS = ("USER MAPPING", "SECURITY LABEL")


def names(entries: Iterable[Entry], left_out: LeftOut) -> Counter[str]:
    """Return the kinds of entries that are not restored, and how many there are of each."""
    kinds = _kinds(left_out)
    return Counter(entry.kind for entry in entries if entry.kind in kinds)


def _kinds(left_out: LeftOut) -> set[str]:
    return {*ALWAYS, *(LINKS if left_out.links else ())}


def _is_left_out(entry: Entry, kinds: set[str]) -> bool:
    """Return whether an entry is of these kinds, or a comment on what is always left out."""
    return entry.kind in kinds or (entry.kind == "COMMENT" and entry.name.startswith(OF_LEFT_OUT))


def stands_last(entry: Entry) -> bool:
    """Return whether an entry is restored when all others are there.

    An event trigger fires while the rest is restored, on each refresh of a materialized view: it
    may forbid that, or write rows that production does not have. A trigger that is switched
    otherwise at a partition alone may stand before the one that makes it, of a table two levels
    above (pg_dump knows no dependency between them). And a constraint of a domain that is NOT VALID
    refuses the rows that are older than it: several processes of pg_restore may make it before
    them.
    """
    if entry.kind == "COMMENT":
        return entry.name.startswith(EVENT_TRIGGER + " ") or bool(_OF_DOMAIN.match(entry.name))
    if entry.kind == "CHECK CONSTRAINT":
        return entry.definition.startswith("ALTER DOMAIN ")
    switched = entry.kind == "TRIGGER" and entry.definition.lstrip().startswith("ALTER ")
    return switched or entry.kind == EVENT_TRIGGER


@contextlib.contextmanager
def list_file(entries: Sequence[Entry], left_out: LeftOut, *, last: bool) -> Iterator[str]:
    """Yield a file for `pg_restore --use-list` with the entries that are restored.

    It is empty text where all of them are, and then no list is needed.

    Args:
        entries: of the archive.
        left_out: what is not restored of them.
        last: list the entries that `stands_last` names, instead of those before them.
    """
    kinds = _kinds(left_out)
    # Numbers alone: an archive of 3,000 tenants has 340,000 entries.
    chosen = array(
        "I",
        (
            one.dump_id
            for one in entries
            if not _is_left_out(one, kinds) and stands_last(one) == last
        ),
    )
    if len(chosen) == len(entries):
        yield ""
        return
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".list") as file:
        # pg_restore reads the number and takes the rest of the line for a comment.
        file.writelines(f"{number};\n" for number in chosen)
        file.flush()
        os.chmod(file.name, 0o644)
        yield file.name
