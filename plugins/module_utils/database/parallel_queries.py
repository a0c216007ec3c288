# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several queries at once: one connection works on one processor only."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .connection import open_connection

# More than this would gain nothing where the disk is the limit.
MOST = 8

Part = TypeVar("Part")
Told = TypeVar("Told")


def each(
    connection: Any, parts: Sequence[Part], ask: Callable[[Any, Part], Told]
) -> Iterator[Told]:
    """What is asked of each part, in their order; over as many connections as there are processors.

    Args:
        connection: psycopg2, in autocommit mode; the others are made like it and have its settings.
        parts: what is asked about.
        ask: given a connection and a part; runs in a thread of its own.

    Raises:
        psycopg2.Error: as `ask` does, or because there is no other connection to be had.
    """
    count = min(MOST, os.cpu_count() or 1, len(parts))
    if count < 2:
        yield from (ask(connection, part) for part in parts)
        return
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(contextlib.closing(_another(connection)))
            for _number in range(count - 1)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(count))
        # A thread keeps its connection: each part of a share is asked one after the other.
        shares = [
            pool.submit(_share, one, parts[number::count], ask)
            for number, one in enumerate([connection, *others])
        ]
        told = [share.result() for share in shares]
        for number in range(len(parts)):
            yield told[number % count][number // count]


def _share(connection: Any, parts: Sequence[Part], ask: Callable[[Any, Part], Told]) -> list[Told]:
    return [ask(connection, part) for part in parts]


def _another(connection: Any) -> Any:
    """A connection to the same database, as the same user, with the same settings."""
    info = connection.info
    made = open_connection({**info.dsn_parameters, "password": info.password}, read_only=True)
    with connection.cursor() as here, made.cursor() as there:
        for name in ("statement_timeout", "lock_timeout", "search_path"):
            here.execute("SELECT current_setting(%s)", [name])
            there.execute("SELECT set_config(%s, %s, false)", [name, here.fetchone()[0]])
    return made
