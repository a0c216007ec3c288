# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup holds of the database itself: owner, privileges, settings, limit, comment.

Archives have entries for it (DATABASE, DATABASE PROPERTIES, ACL, COMMENT), a plain dump only with
--create. Their statements are read and never run: a backup decides nothing about the server.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence

from .archive_entry import Entry

ALL = ("CREATE", "TEMPORARY", "CONNECT")
PUBLIC = ""
_TOKENS = re.compile(
    r"""\s*(?:
        (?P<string>E?'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")+"|[^\W\d][\w$]*)
      | (?P<number>-?\d+)
      | (?P<other>\S))""",
    re.VERBOSE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class DumpedGrant:
    """One privilege on the database; an empty grantee is PUBLIC."""

    grantor: str
    grantee: str
    privilege: str
    grantable: bool


@dataclasses.dataclass(frozen=True)
class DumpedDatabase:
    """A database as its dump describes it.

    Attributes:
        owner: its owner; empty where it is not named.
        tablespace: its default tablespace; empty for the server's own.
        comment: None without one.
        connection_limit: -1 for none.
        template: whether every user may copy it.
        settings: role (empty for all), name and value of each setting, as the catalogue has it.
        grants: its privileges; None for the default ones.
        unread: statements about it that are not understood.
    """

    owner: str = ""
    tablespace: str = ""
    comment: str | None = None
    connection_limit: int = -1
    template: bool = False
    settings: tuple[tuple[str, str, str], ...] = ()
    grants: tuple[DumpedGrant, ...] | None = None
    unread: tuple[str, ...] = ()


class _Reading:
    """What was read so far."""

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = self.session = owner
        self.tablespace = ""
        self.comment: str | None = None
        self.limit, self.template = -1, False
        self.settings: list[tuple[str, str, str]] = []
        self.grants: dict[tuple[str, str, str], bool] | None = None
        self.unread: list[str] = []

    def grant(self, privileges: Sequence[str], grantee: str, grantable: bool) -> None:
        for privilege in privileges:
            key = (self.session, grantee, privilege)
            held = self._changed()
            held[key] = held.get(key, False) or grantable

    def revoke(self, privileges: Sequence[str], grantee: str) -> None:
        for privilege in privileges:
            self._changed().pop((self.session, grantee, privilege), None)

    def _changed(self) -> dict[tuple[str, str, str], bool]:
        if self.grants is None:
            # The privileges of a new database (acldefault in acl.c).
            self.grants = {
                **{(self.owner, self.owner, one): False for one in ALL},
                **{(self.owner, PUBLIC, one): False for one in ("TEMPORARY", "CONNECT")},
            }
        return self.grants


def read(entries: Iterable[Entry]) -> DumpedDatabase | None:
    """Return the database of a table of contents; None where the backup does not hold it."""
    held = [entry for entry in entries if _concerns_database(entry)]
    made = next((entry for entry in held if entry.kind == "DATABASE"), None)
    if made is None:
        return None
    reading = _Reading(made.name, made.owner)
    # PostgreSQL itself takes the privileges after all else.
    for entry in sorted(held, key=lambda entry: entry.kind == "ACL"):
        reading.session = reading.owner
        for statement, text in _statements(entry.definition):
            if not _take(reading, statement):
                reading.unread.append(text)
    grants = reading.grants
    return DumpedDatabase(
        reading.owner,
        reading.tablespace,
        reading.comment,
        reading.limit,
        reading.template,
        tuple(reading.settings),
        None
        if grants is None
        else tuple(DumpedGrant(*key, grantable) for key, grantable in grants.items()),
        tuple(reading.unread),
    )


def _concerns_database(entry: Entry) -> bool:
    return entry.kind in ("DATABASE", "DATABASE PROPERTIES") or (
        entry.kind in ("ACL", "COMMENT", "SECURITY LABEL") and entry.name.startswith("DATABASE ")
    )


def _statements(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the tokens of each statement, and its text; strings keep their quotes."""
    tokens: list[str] = []
    begin = at = 0
    while match := _TOKENS.match(text, at):
        at = match.end()
        token = match[0].strip()
        if token == ";":
            if tokens:
                yield tokens, text[begin:at].strip()
            tokens, begin = [], at
        else:
            tokens.append(token)
    if tokens:
        yield tokens, text[begin:].strip()


def _take(reading: _Reading, tokens: list[str]) -> bool:
    """Take a statement in; return whether it is understood."""
    words = [token if token[0] in "'\"" else token.upper() for token in tokens]
    first, count = words[:2], len(words)
    if first == ["CREATE", "DATABASE"]:
        if "TABLESPACE" in words[:-2]:
            reading.tablespace = _name(tokens[words.index("TABLESPACE") + 2])
        return True
    # A plain dump sets its session up again once it has connected to the new database.
    if (words[0] == "SET" and words[1:2] != ["SESSION"]) or words[0] == "SELECT":
        return True
    if first == ["ALTER", "DATABASE"] and count > 4 and _name(tokens[2]) == reading.name:
        return _take_property(reading, words[3:], tokens[3:])
    in_database = words[3:5] == ["IN", "DATABASE"] and _name(tokens[5]) == reading.name
    if first == ["ALTER", "ROLE"] and in_database and words[6:7] == ["SET"]:
        return _take_setting(reading, _name(tokens[2]), tokens[7:])
    on_database = words[1:3] == ["ON", "DATABASE"] and _name(tokens[3]) == reading.name
    if first == ["COMMENT", "ON"] and on_database and words[4:5] == ["IS"] and count == 6:
        reading.comment = None if words[5] == "NULL" else _string(tokens[5])
        return True
    if words[:3] == ["SET", "SESSION", "AUTHORIZATION"] and count == 4:
        reading.session = _name(tokens[3])
        return True
    if words == ["RESET", "SESSION", "AUTHORIZATION"]:
        reading.session = reading.owner
        return True
    return first[0] in ("GRANT", "REVOKE") and _take_grant(reading, words, tokens)


def _take_property(reading: _Reading, words: list[str], tokens: list[str]) -> bool:
    if words[:2] == ["OWNER", "TO"] and len(words) == 3:
        reading.owner = reading.session = _name(tokens[2])
    elif words[:2] == ["CONNECTION", "LIMIT"]:
        reading.limit = int(words[-1])
    elif words[0] == "IS_TEMPLATE":
        reading.template = words[-1] == "TRUE"
    elif words[0] == "SET":
        return _take_setting(reading, "", tokens[1:])
    else:
        return False
    return True


def _take_setting(reading: _Reading, role: str, tokens: list[str]) -> bool:
    """Take `name TO value, value`; a name may have a prefix and a dot."""
    words = [token.upper() for token in tokens]
    at = next((place for place, word in enumerate(words) if word in ("TO", "=")), 0)
    values = [token for token in tokens[at + 1 :] if token != ","]
    if not at or not values:
        return False
    name = ".".join(_name(token) for token in tokens[:at] if token != ".")
    texts = [_string(value) if value.endswith("'") else _name(value) for value in values]
    # The catalogue has a list as quoted names.
    listed = len(texts) > 1 or name.lower() in LISTS
    reading.settings.append((role, name, ", ".join(map(quoted, texts)) if listed else texts[0]))
    return True


# Settings whose value is a list of quoted names: PostgreSQL takes each name as a literal of its own
# (GUC_LIST_QUOTE; variable_is_guc_list_quote in src/bin/pg_dump/dumputils.c has the same list).
LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


def _take_grant(reading: _Reading, words: list[str], tokens: list[str]) -> bool:
    """Take `GRANT privileges ON DATABASE name TO role`, or REVOKE; return whether it is one."""
    if "DATABASE" not in words or words[words.index("DATABASE") - 1] != "ON":
        return False
    on = words.index("DATABASE") - 1
    named = [word for word in words[1:on] if word not in (",", "PRIVILEGES")]
    privileges = (
        ALL if named == ["ALL"] else ["TEMPORARY" if word == "TEMP" else word for word in named]
    )
    rest = words[on + 3 :]
    if _name(tokens[on + 2]) != reading.name:
        return False
    if len(rest) < 2 or not set(privileges) <= set(ALL) or rest[0] not in ("TO", "FROM"):
        return False
    grantee = PUBLIC if rest[1] == "PUBLIC" else _name(tokens[on + 4])
    if words[0] == "GRANT":
        reading.grant(privileges, grantee, rest[2:] == ["WITH", "GRANT", "OPTION"])
    else:
        reading.revoke(privileges, grantee)
    return True


def quoted(name: str) -> str:
    """Return a name as PostgreSQL quotes it where that is needed."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_$]*", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def _name(token: str) -> str:
    if token.startswith('"'):
        return token[1:-1].replace('""', '"')
    return token.lower()


def _string(token: str) -> str:
    escaped = token[0] in "Ee"
    text = token[2 if escaped else 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if escaped else text
