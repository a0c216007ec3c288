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
from collections.abc import Iterable, Mapping
from typing import Any

from . import sql_encoding
from .archive_entry import Entry
from .archive_toc import Toc

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


def created_as(toc: Toc, known: Mapping[str, str]) -> dict[str, str]:
    """Return the options with which a database is created.

    A dump without CREATE DATABASE still names the encoding of its text. That is the database's
    own, unless pg_dump was given another one, in which all of the content is at home, too.

    Args:
        toc: of the dump.
        known: the same from elsewhere, of a manifest.

    Returns:
        As `options`.
    """
    named = options(toc.entries)
    if named or known:
        return {**known, **named} if named.get("ENCODING") else {**named, **known}
    known_to_servers = toc.encoding and sql_encoding.mask_of(toc.encoding) is None
    return {"ENCODING": toc.encoding} if known_to_servers and toc.encoding != "UTF8" else {}


def of(entries: Iterable[Entry]) -> dict[str, str]:
    """Return how the dumped database sorts text; empty where the archive does not name it.

    Returns:
        `collate`, `ctype`, `provider` (`c`, `i` or `b`), and the provider's own `locale` and
        `rules` where it has them.
    """
    named = options(entries)
    both = named.get("LOCALE", "")
    found = {
        "collate": named.get("LC_COLLATE", both),
        "ctype": named.get("LC_CTYPE", both),
        "provider": PROVIDERS.get(named.get("LOCALE_PROVIDER", "libc"), "c"),
    }
    for name in ("ICU_LOCALE", "BUILTIN_LOCALE", "ICU_RULES"):
        if named.get(name):
            found["rules" if name == "ICU_RULES" else "locale"] = named[name]
    return found if found["collate"] else {}


def of_catalogue(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the same, but for `collate` and `ctype`, from a row of pg_database; with `version`.

    Args:
        row: as to_jsonb writes it: the columns have had several names since PostgreSQL 15.
    """
    return {
        "provider": row.get("datlocprovider") or "c",
        "version": row.get("datcollversion") or "",
        "locale": row.get("daticulocale") or row.get("datlocale") or "",
        "rules": row.get("daticurules") or "",
    }


def clauses(encoding: str, locale: Mapping[str, str]) -> dict[str, str]:
    """Return the options of CREATE DATABASE for an encoding and a locale as `of` has it."""
    found = {"ENCODING": encoding} if encoding else {}
    if not locale.get("collate"):
        return found
    found.update(LC_COLLATE=locale["collate"], LC_CTYPE=locale["ctype"])
    provider = locale.get("provider", "c")
    names = {letter: name for name, letter in PROVIDERS.items()}
    if provider == "c" or not locale.get("locale"):
        return found
    found["LOCALE_PROVIDER"] = names[provider]
    found["ICU_LOCALE" if provider == "i" else "BUILTIN_LOCALE"] = locale["locale"]
    if locale.get("rules"):
        found["ICU_RULES"] = locale["rules"]
    return found
