# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run queries on several connections, because one connection works on one processor only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .connection import open_connection

# More connections gain nothing where the disk is the limit.
MOST_CONNECTIONS = 8

Part = TypeVar("Part")
Result = TypeVar("Result")


def each(
    connection: Any, parts: Sequence[Part], query: Callable[[Any, Part], Result]
) -> Iterator[Result]:
    """Yield the result of a query for each part, in their order.

    There are as many connections as processors, each in a thread of its own.

    Args:
        connection: psycopg2, in autocommit mode; the others are made like it and have its settings.
        parts: each is given to `query`.
        query: takes a connection and a part.

    Raises:
        psycopg2.Error: raised by `query`, or no other connection could be made.
    """
    count = min(MOST_CONNECTIONS, os.cpu_count() or 1, len(parts))
    if count < 2:
        yield from (query(connection, part) for part in parts)
        return
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(contextlib.closing(_another(connection)))
            for _number in range(count - 1)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(count))
        # A connection serves one query at a time, so each thread keeps its own.
        shares = [
            pool.submit(_share, one, parts[number::count], query)
            for number, one in enumerate([connection, *others])
        ]
        results = [share.result() for share in shares]
        for number in range(len(parts)):
            yield results[number % count][number // count]


def _share(
    connection: Any, parts: Sequence[Part], query: Callable[[Any, Part], Result]
) -> list[Result]:
    return [query(connection, part) for part in parts]


def _another(connection: Any) -> Any:
    """Return another connection to the same database, as the same user, with its settings."""
    info = connection.info
    made = open_connection({**info.dsn_parameters, "password": info.password}, read_only=True)
    with connection.cursor() as here, made.cursor() as there:
        for name in ("statement_timeout", "lock_timeout", "search_path"):
            here.execute("SELECT current_setting(%s)", [name])
            there.execute("SELECT set_config(%s, %s, false)", [name, here.fetchone()[0]])
    return made
