# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect to PostgreSQL: the only place that calls `psycopg2.connect`.

psycopg2 is imported when it is needed, because stages 1 and 2 run on hosts without it.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import error_line, one_line

# Seconds until an attempt to connect is given up.
CONNECT_TIMEOUT = 10
# A database without an encoding holds bytes, which are read as UTF-8; other bytes become half
# surrogate pairs, and are written as they were.
BYTES, NO_ENCODING = "utf_8_bytes", "SQL_ASCII"
# Settings that older versions lack, with the first version that has them.
SINCE = {
    "idle_session_timeout": 140000,
    "transaction_timeout": 170000,
    "event_triggers": 170000,
}
# The environment belongs to the whole process, so one thread at a time hides a part of it.
_ENVIRONMENT = threading.Lock()


def driver() -> Any:
    """Return the module psycopg2, with `psycopg2.sql` and `psycopg2.errors` loaded.

    Raises:
        ResilienceError: it is not installed.
    """
    try:
        import psycopg2
        import psycopg2.errors
        import psycopg2.sql
    except Exception as error:  # a damaged one raises anything
        raise ResilienceError(
            _(
                "the Python library %(library)s cannot be loaded: %(why)s",
                library="psycopg2",
                why=error_line(error),
            ),
            option="python",
            value=sys.executable,
            remedy=_("install python3-psycopg2 (Debian), or psycopg2 for this interpreter"),
        ) from error
    # psycopg2 looks encodings up without their underscores.
    psycopg2.extensions.encodings[NO_ENCODING.replace("_", "")] = BYTES
    return psycopg2


def identifier(*names: str) -> Any:
    """Return a quoted identifier, as `psycopg2.sql.Identifier`, also of bytes that are no text.

    Args:
        names: its parts, as schema and table.
    """
    quoted = ('"' + name.replace('"', '""') + '"' for name in names)
    return driver().sql.SQL(".".join(quoted))


def _bytes_codec(name: str) -> codecs.CodecInfo | None:
    if name != BYTES:
        return None
    return codecs.CodecInfo(
        lambda text, errors="": codecs.utf_8_encode(text, "surrogateescape"),
        lambda content, errors="": codecs.utf_8_decode(bytes(content), "surrogateescape", True),
        name=BYTES,
    )


codecs.register(_bytes_codec)


def open_connection(
    parameters: Mapping[str, Any],
    *,
    private: bool = True,
    autocommit: bool = True,
    read_only: bool = False,
    connect_timeout: float = CONNECT_TIMEOUT,
    settings: Mapping[str, str | int] | None = None,
) -> Any:
    """Return a connection.

    Args:
        parameters: keyword arguments for `psycopg2.connect`; `dsn` may be a connection string.
        private: whether libpq's environment (PGHOSTADDR, PGSERVICE, PGOPTIONS …) is hidden from
            this connection. False only where the user's environment says which server is meant.
        autocommit: whether every statement is a transaction of its own.
        read_only: whether transactions are read-only by default.
        connect_timeout: seconds; `parameters` go before it.
        settings: PostgreSQL parameters of this session, as `statement_timeout` in milliseconds;
            those of `SINCE` are left out where the server is older.

    Raises:
        psycopg2.Error: the connection cannot be made.
        ResilienceError: psycopg2 is not installed.
    """
    psycopg2 = driver()
    given = {"connect_timeout": max(1, int(connect_timeout)), **parameters}
    with _without_libpq_environment() if private else contextlib.nullcontext():
        connection = psycopg2.connect(**given)
    try:
        connection.set_session(readonly=read_only or None, autocommit=autocommit)
        with connection.cursor() as cursor:
            for name, value in (settings or {}).items():
                if connection.server_version >= SINCE.get(name, 0):
                    cursor.execute(
                        "SELECT pg_catalog.set_config(%s, %s, false)", [name, str(value)]
                    )
        nameless = connection.info.parameter_status("server_encoding") == NO_ENCODING
        connection.set_client_encoding(NO_ENCODING if nameless else "UTF8")
        if not autocommit:
            connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def connect(
    parameters: Mapping[str, Any], *, what: str, option: str, remedy: str, **options: Any
) -> Any:
    """Return a connection; what goes wrong is an error for people.

    Args:
        parameters, options: those of `open_connection`.
        what: the server, as the error names it.
        option, remedy: of that error.

    Raises:
        ResilienceError: the connection cannot be made.
    """
    psycopg2 = driver()
    try:
        return open_connection(parameters, **options)
    except psycopg2.Error as error:
        raise ResilienceError(
            _("%(what)s cannot be connected to: %(why)s", what=what, why=one_line(error)),
            option=option,
            value=parameters.get("host") or parameters.get("dbname"),
            remedy=remedy,
        ) from error


def administrator(place: Any, dbname: str) -> dict[str, Any]:
    """Return the connection parameters of a role that may create databases.

    Args:
        place: has `host`, `port`, `user` and `password`.
        dbname: the database to connect to.
    """
    return {
        "host": place.host,
        "port": place.port,
        "user": place.user,
        "password": place.password,
        "dbname": dbname,
    }


def environment_without_libpq() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs, without the variables that libpq reads."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


@contextlib.contextmanager
def _without_libpq_environment() -> Iterator[None]:
    """Hide the variables that libpq reads ("Environment Variables" in its manual); all are PG*."""
    with _ENVIRONMENT:
        hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}
        try:
            yield
        finally:
            os.environ.update(hidden)
