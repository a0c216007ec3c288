# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects to a server of somebody's as one who may create and rename databases there."""

from __future__ import annotations

from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import one_line


def connect(to: Any, dbname: str, *, what: str, option: str, remedy: str) -> Any:
    """An autocommit connection, which waits at most 10 s to come about.

    Args:
        to: has the `host` and `port`, and the `user` and `password` of a role that may create
            databases there.
        dbname: the database to connect to.
        what: how an error names the server.
        option, remedy: of that error.

    Raises:
        ResilienceError: there is none.
    """
    import psycopg2  # the engine imports without it

    try:
        connection = psycopg2.connect(
            host=to.host,
            port=to.port,
            user=to.user,
            password=to.password,
            dbname=dbname,
            connect_timeout=10,
        )
    except psycopg2.OperationalError as error:
        raise ResilienceError(
            _(
                "%(what)s cannot be connected to: %(why)s",
                what=what,
                why=one_line(error),
            ),
            option=option,
            value=to.host,
            remedy=remedy,
        ) from error
    connection.autocommit = True
    return connection
