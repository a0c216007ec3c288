# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements of a plain dump are not executed, and what they are called in a report.

Where a dump goes is decided by who restores it: databases, tablespaces, roles and the server's own
settings are the server's, and no other server is connected to.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from . import sql_words

SHARED = ("DATABASE", "TABLESPACE", "ROLE", "USER", "GROUP", "SUBSCRIPTION")
# Databases and roles are rows of these catalogues, which all databases of a server share.
_SHARED_ROWS = re.compile(
    rb'INSERT INTO\s+(?:"?pg_catalog"?\s*\.\s*)?"?'
    rb"(pg_(?:database|authid|auth_members|tablespace))\b",
    re.IGNORECASE,
)
# Settings of the database that the dump makes: the restored one has them already.
DATABASE_SETTING = "ALTER DATABASE SET"
# What concerns owners and privileges, by the names of `LeftOut.name`.
OWNER, AS_ROLE = "OWNER TO", "SET ROLE"
ACCESS = (OWNER, AS_ROLE, "GRANT", "REVOKE", "ALTER DEFAULT PRIVILEGES")
SHARED_CATALOGUES = ("PG_DATABASE", "PG_AUTHID", "PG_AUTH_MEMBERS", "PG_TABLESPACE")
# Most tokens of a GRANT before its ON: one for each column that is granted.
MANY = 4000


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What is left out in addition to what always is; all of it in staging.

    Attributes:
        owners: who owns what, and the change to another role.
        privileges: grants, and privileges by default.
        links: passwords for other servers, and labels of security modules.
        later: whether owners and privileges are kept for afterwards.
    """

    owners: bool = False
    privileges: bool = False
    links: bool = False
    later: bool = False

    def name(self, text: bytes) -> str:
        """Return the name of a statement that is left out; empty for one that is executed.

        Args:
            text: the statement.
        """
        if text[:12].upper() == b"INSERT INTO ":
            # The many; what all databases share is named by its first words.
            found = _SHARED_ROWS.match(text)
            return f"INSERT {found[1].decode().lower()}" if found else ""
        words = sql_words.words(text)
        if not words:
            return ""
        first, second = words[0], words[1] if len(words) > 1 else ""
        rule = _RULES.get(first)
        if rule is not None:
            return rule(self, words, second, text)
        if first in ("LOAD", "IMPORT", "REASSIGN"):
            return first
        return ""


def loss(name: str, text: bytes) -> str:
    """Return what the database lacks without a statement that is left out; empty where nothing.

    pg_dump writes none of these.

    Args:
        name: the statement's, from `LeftOut.name`.
        text: the statement.
    """
    if name == "IMPORT":
        return "its tables are those of another server, which is not connected to"
    if name == "COPY":
        words = sql_words.words(text, MANY)
        # Of a query, which stands in parentheses, or of a table and some of its columns.
        direction = next((word for word in words if word in ("FROM", "TO")), "TO")
        if direction == "FROM" and words[1:2] != ["("]:
            return "its rows lie in a file or come from a program, which is not read"
    return ""


def of_options(options: Sequence[str]) -> LeftOut:
    """Return what is left out beside what always is, by options of pg_restore."""
    return LeftOut(
        owners="--no-owner" in options,
        privileges="--no-privileges" in options,
        links="--no-owner" in options,
    )


def _definition_name(left_out: LeftOut, words: Sequence[str], second: str, text: bytes) -> str:
    """Return the name of a CREATE, ALTER or DROP that is left out; else empty."""
    first = words[0]
    if second == "USER" and words[2:3] == ["MAPPING"]:
        return f"{first} USER MAPPING" if left_out.links else ""
    if [first, second] == ["ALTER", "DATABASE"] and words[3:4] == ["SET"]:
        return DATABASE_SETTING if words[4:5] != ["TABLESPACE"] else "ALTER DATABASE"
    if second in SHARED or second in ("SYSTEM", "OWNED"):
        return f"{first} {second}"
    if first != "ALTER":
        return ""
    if second == "DEFAULT":
        return "ALTER DEFAULT PRIVILEGES" if left_out.privileges else ""
    every = sql_words.words(text, MANY)
    if left_out.owners and every[-4:-3] == ["OWNER"] and every[-3] == "TO":
        return OWNER
    return "SET TABLESPACE" if "TABLESPACE" in every else ""


def _comment_name(left_out: LeftOut, words: Sequence[str], second: str, text: bytes) -> str:
    """Return the name of a COMMENT ON or SECURITY LABEL that is left out; else empty."""
    if words[0] == "SECURITY" and left_out.links:
        return "SECURITY LABEL"
    on = words.index("ON") if "ON" in words else 0
    kind = words[on + 1] if on + 1 < len(words) else ""
    return f"{words[0]} ON {kind}" if kind in SHARED else ""


def _grant_name(left_out: LeftOut, words: Sequence[str], second: str, text: bytes) -> str:
    first = words[0]
    every = sql_words.words(text, MANY)
    end = next((at for at, word in enumerate(every) if word in ("TO", "FROM")), len(every))
    before = every[:end]
    if "ON" not in before:
        return f"{first} ROLE"
    kind = before[before.index("ON") + 1] if before[-1] != "ON" else ""
    if kind in (*SHARED, "PARAMETER"):
        return f"{first} ON {kind}"
    return first if left_out.privileges else ""


def _setting_name(left_out: LeftOut, words: Sequence[str], second: str, text: bytes) -> str:
    named = [word for word in words[1:] if word not in ("SESSION", "LOCAL", "=", "TO", ";")]
    if named[:1] == ["DEFAULT_TABLESPACE"] and named[1:] not in (["''"], ["DEFAULT"]):
        return "SET default_tablespace"
    role = named[:1] in (["AUTHORIZATION"], ["ROLE"])
    if left_out.owners and role and named[1:] not in (["DEFAULT"], ["NONE"]):
        return AS_ROLE
    return ""


def _copy_name(left_out: LeftOut, words: Sequence[str], second: str, text: bytes) -> str:
    return "" if sql_words.copy_target(text) else "COPY"


def _catalogue_change_name(
    left_out: LeftOut, words: Sequence[str], second: str, text: bytes
) -> str:
    """Return the name of a change to a catalogue that all databases share; else empty."""
    shared = next((word for word in words[1:6] if word in SHARED_CATALOGUES), "")
    return f"{words[0]} {shared.lower()}" if shared else ""


_RULES = {
    "CREATE": _definition_name,
    "ALTER": _definition_name,
    "DROP": _definition_name,
    "COMMENT": _comment_name,
    "SECURITY": _comment_name,
    "GRANT": _grant_name,
    "REVOKE": _grant_name,
    "SET": _setting_name,
    "COPY": _copy_name,
    "UPDATE": _catalogue_change_name,
    "DELETE": _catalogue_change_name,
    "INSERT": _catalogue_change_name,
}
