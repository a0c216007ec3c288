# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request to the gate for the SHA-256 of backups, read now."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ..inventory import tree_digests
from ..inventory.path_list import PathList
from ..inventory.path_table import DIGESTS, PathTable
from . import gate_input, gate_limits, server_store, server_verification
from .gate_session import GateSession, keepalive
from .new_alarms import notifying_new_alarms

# Files that one task digests at most, and tasks that wait at one time.
_MOST_SHARE = 64
_MOST_TASKS = 64


def _send_digests(session: GateSession, arguments: list[str]) -> int:
    """Read names from standard input and write the SHA-256 of every such backup.

    A digest that differs from the ledger's marks the backup as rotten.
    """
    # Each name once, however often it is given, and one request of a key at a time.
    names = PathList(
        name for name in gate_input.names(gate_input.whole()) if session.store.accepts(name)
    )
    with gate_limits.one_reading(session.store):
        return write_digests(session, names)


def write_digests(session: GateSession, names: PathList) -> int:
    """Write the SHA-256 of backups, and the alarms that stand after they were read."""
    ledger = session.store.ledger(names.table) if names else server_store.ledger_table()
    ledger.share(names.table)
    digests: PathTable[str] = PathTable(DIGESTS)

    def digest(name: str) -> tuple[str, str] | None:
        try:
            return name, tree_digests.sha256(os.path.join(session.store.root, name))
        except OSError:
            return None

    with keepalive(b"\0"):
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            # In shares: a task for each of many small files would cost more than reading them.
            most = min(_MOST_SHARE, 1 + len(names) // (8 * (os.cpu_count() or 1)))
            remaining = iter(names)
            while some := list(itertools.islice(remaining, most * _MOST_TASKS)):
                shares = [some[at : at + most] for at in range(0, len(some), most)]
                for share in pool.map(lambda share: list(map(digest, share)), shares):
                    for one in filter(None, share):
                        digests.add(one[0], (one[1],))
        digests.share(names.table)
        with notifying_new_alarms(session.store, session.config_file):
            server_verification.compare_with_ledger(session.store, ledger, digests)
    session.write_records(f"{content} *{name}" for name, content in digests.items())
    # Reading may have raised or ended an alarm.
    session.write_records([*session.alarm_records(), "end"])
    return 0


COMMANDS: dict[str, Callable[[GateSession, list[str]], int]] = {"chefwell-digest": _send_digests}
