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

_OPTION = re.compile(
    r"\b(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE)"
    r" = (\w+|'(?:[^']|'')*')"
)
# As `pg_database.datlocprovider` has them.
PROVIDERS = {"libc": "c", "icu": "i", "builtin": "b"}


def options(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the options of encoding and locale of the CREATE DATABASE, by name in capitals.

    Empty where there is none: in a plain dump without --create.
    """
    for entry in entries:
        if entry.kind == "DATABASE":
            return {
                name: value[1:-1].replace("''", "'") if value.startswith("'") else value
                for name, value in _OPTION.findall(entry.definition)
            }
    return {}


def of(entries: Iterable[Entry]) -> dict[str, str]:
    """Return `collate`, `ctype`, `provider` (`c`, `i` or `b`); empty where the archive has none."""
    named = options(entries)
    both = named.get("LOCALE", "")
    found = {
        "collate": named.get("LC_COLLATE", both),
        "ctype": named.get("LC_CTYPE", both),
        "provider": PROVIDERS.get(named.get("LOCALE_PROVIDER", "libc"), "c"),
    }
    return found if found["collate"] else {}
