# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locale of the dumped database, from an archive's table of contents.

Archives other than plain ones hold the CREATE DATABASE of what was dumped (dumpDatabase in
pg_dump.c), with its locale. The version of the operating system's or ICU's rules is not in it: only
a manifest has that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .archive_toc import Entry

_OPTION = re.compile(r"\b(LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE) = (\w+|'(?:[^']|'')*')")
# As `pg_database.datlocprovider` has them.
PROVIDERS = {"libc": "c", "icu": "i", "builtin": "b"}


def of(entries: Iterable[Entry]) -> dict[str, str]:
    """Return `collate`, `ctype`, `provider` (`c`, `i` or `b`); empty where the archive has none."""
    for entry in entries:
        if entry.kind == "DATABASE":
            options = {
                name: value.strip("'").replace("''", "'")
                for name, value in _OPTION.findall(entry.definition)
            }
            both = options.get("LOCALE", "")
            found = {
                "collate": options.get("LC_COLLATE", both),
                "ctype": options.get("LC_CTYPE", both),
                "provider": PROVIDERS.get(options.get("LOCALE_PROVIDER", "libc"), "c"),
            }
            return found if found["collate"] else {}
    return {}
