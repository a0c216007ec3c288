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
from collections.abc import Iterable, Iterator

from ..database.connection import driver, open_connection
from ..database.postgres import Server
from . import sql_lexer, sql_words
from .archive_toc import Entry

KIND = "DATABASE PROPERTIES"
# What must not apply to the sessions that restore, whatever the database's settings are.
OVERRIDES = {
    "default_transaction_read_only": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "role": "none",
}
# The same for libpq (PGOPTIONS).
SESSION = " ".join(f"-c {name}={value}" for name, value in OVERRIDES.items())


def apply(server: Server, database: str, entries: Iterable[Entry]) -> list[str]:
    """Give a new database the settings of the one that was dumped.

    Args:
        server: where it is.
        database: its name.
        entries: of the archive's table of contents.

    Returns:
        The names of the settings that this server does not take.
    """
    psycopg2 = driver()
    refused = []
    statements = list(_statements(entries))
    if not statements:
        return []
    sql = psycopg2.sql
    target = sql.SQL("ALTER DATABASE {} ").format(sql.Identifier(database))
    connection = open_connection(server.dsn(server.maintenance_db))
    with contextlib.closing(connection), connection.cursor() as cursor:
        begin = target.as_string(connection).encode()
        for name, setting in statements:
            try:
                cursor.execute(begin + setting)
            except psycopg2.Error:
                refused.append(name)
    return refused


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
                yield words[4].lower(), sql_words.after_words(piece.text, 3)
