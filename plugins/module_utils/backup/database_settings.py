# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that a dump gives to its database (`ALTER DATABASE … SET`).

Views, checks and `money` values may depend on them, so the restored database gets them before
anything is restored into it. They are in the entry DATABASE PROPERTIES (dumpDatabaseConfig in
pg_dump.c), which pg_restore itself leaves out unless it creates the database.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping

from ..common.zip_equal import zip_equal
from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import identifiers, sql_lexer, sql_words
from .archive_entry import Entry

KIND = "DATABASE PROPERTIES"
# What must not apply to the sessions that restore, whatever the database's settings are.
OVERRIDES = {
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "role": "none",
}
# On these depend checks, defaults and values as they are written, such as of `money` or a day in a
# time zone. No archive has them where they are not the database's own but its server's, nor has a
# plain dump without --create; a manifest has.
MEANING = (
    *("timezone", "datestyle", "intervalstyle", "lc_monetary", "lc_numeric", "lc_time"),
    *("default_text_search_config", "array_nulls", "transform_null_equals", "xmlbinary"),
)
# Libraries that each session loads: without one of them nobody can connect to the database.
LIBRARIES = ("session_preload_libraries", "local_preload_libraries")
# `OVERRIDES` for libpq (PGOPTIONS).
SESSION = " ".join(f"-c {name}={value}" for name, value in OVERRIDES.items())


def apply(
    server: Server, database: str, entries: Iterable[Entry], known: Mapping[str, str]
) -> list[str]:
    """Give a new database the settings of the one that was dumped.

    Args:
        server: where it is.
        database: its name.
        entries: of the archive's table of contents.
        known: the same from elsewhere, of a manifest; those of the archive go before them.

    Returns:
        The names of the settings that this server does not take.
    """
    psycopg2 = driver()
    sql = psycopg2.sql
    refused = []
    statements = list(_statements(entries))
    named = {name for name, _setting in statements}
    # A manifest has no others.
    others = [
        (name, value)
        for name, value in known.items()
        if name.lower() in MEANING and name.lower() not in named
    ]
    if not statements and not others:
        return []
    target = sql.SQL("ALTER DATABASE {} ").format(sql.Identifier(database))
    connection = open_connection(server.dsn("postgres"))
    with contextlib.closing(connection), connection.cursor() as cursor:
        begin = target.as_string(connection).encode()
        made = [
            sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in others
        ]
        clauses = [setting for _name, setting in statements]
        clauses += [one.as_string(connection).encode() for one in made]
        names = [name for name, _setting in statements] + [name for name, _value in others]
        for name, setting in zip_equal(names, clauses):
            try:
                cursor.execute(begin + setting)
            except psycopg2.Error:
                refused.append(name)
        loading = [name for name in names if name in LIBRARIES and name not in refused]
        if loading and not _opens(server, database):
            for name in loading:
                cursor.execute(begin + b"RESET " + name.encode())
            refused += loading
    return refused


def _opens(server: Server, database: str) -> bool:
    """Return whether sessions of a database can begin."""
    try:
        open_connection(server.dsn(database)).close()
    except driver().Error:
        return False
    return True


def count(entries: Iterable[Entry]) -> int:
    """Return how many settings an archive gives to its database."""
    return len(list(_statements(entries)))


def _statements(entries: Iterable[Entry]) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each setting, and its SET clause as it is written."""
    for entry in entries:
        if entry.kind != KIND:
            continue
        text = io.BytesIO(entry.definition.encode("utf-8", "surrogateescape"))
        for piece in sql_lexer.Lexer(text.read).pieces():
            if piece.kind != sql_lexer.STATEMENT or not piece.whole:
                continue
            words = sql_words.words(piece.text, 6)
            if words[:2] != ["ALTER", "DATABASE"] or words[3:4] != ["SET"]:
                continue
            # A tablespace is a place on the server.
            if words[4:5] not in ([], ["TABLESPACE"]):
                yield identifiers.unquoted(words[4]).lower(), sql_words.after_words(piece.text, 3)
