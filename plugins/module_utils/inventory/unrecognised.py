# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a backup tree that look like backups, and whose names do not fit the pattern.

They are neither copied nor drilled, and whoever wrote them believes that they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..common.messages import Message, join, ngettext
from . import companions
from .inventory import Inventory

# Names that a warning lists.
SHOWN = 5
# Endings of dumps, packers and encryption, parts of one, and dates.
_LIKE_A_BACKUP = re.compile(
    r"(?i)\.(?:dump|dmp|sql|tar|bak|backup|pgdump|custom|t?gz|zst|xz|lz4|bz2|7z|zip|gpg|pgp|age|enc"
    r"|part\w*|\d{2,3}|a[a-z])$|(?:^|\D)20\d{2}[-_.]?\d{2}[-_.]?\d{2}(?:\D|$)"
)


def names(tree: Inventory) -> list[str]:
    """Return the paths of a tree that look like backups and are not recognised, escaped."""
    return [
        path
        for path in tree.ignored
        if not path.partition("/")[2].startswith(".")
        and not companions.is_companion(path)
        and _LIKE_A_BACKUP.search(path.partition("/")[2].partition(" (")[0])
    ]


def warning(tree: Inventory) -> Message | str:
    """Return the sentence for what is not recognised in a tree; empty where nothing is."""
    return sentence(names(tree))


def sentence(found: Sequence[str]) -> Message | str:
    """Return the sentence for the files that `names` returned; empty for none."""
    if not found:
        return ""
    more = ", …" if len(found) > SHOWN else ""
    return ngettext(
        "%(count)d file is not recognised as a backup: %(files)s",
        "%(count)d files are not recognised as backups: %(files)s",
        len(found),
        files=join([join(found[:SHOWN], ", "), more], ""),
    )
