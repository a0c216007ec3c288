# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request to the gate that makes what has arrived part of the copy, by an inventory."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable

from ..common import memory
from ..common.errors import ResilienceError
from ..common.messages import _, to_form
from ..inventory import packed_stream
from . import client_inventory, gate_input, packed_files, placement
from .gate_input import Refused
from .gate_session import WRITE, GateSession, keepalive
from .incoming import ArrivalSession, clear_obstructions
from .new_alarms import notifying_new_alarms

# Paths of placed backups that the result of a commit names.
_MOST_NAMED = 1000


def _commit(session: GateSession, arguments: list[str]) -> int:
    if session.allow != WRITE:
        raise Refused(_("this key may only read"))
    store = session.store
    with notifying_new_alarms(store, session.config_file), ArrivalSession(store) as arrivals:
        clear_obstructions(store)
        rest = b""
        if arguments == [packed_stream.WORD]:
            with keepalive(b"\n"):
                rest = packed_files.receive(store, arrivals, sys.stdin.fileno())
            session.send(packed_stream.RECEIVED.decode("ascii"))
        if not rest:
            arrivals.watch(sys.stdin.buffer)
        try:
            listed = client_inventory.read(gate_input.text(rest), store)
        except ValueError as error:
            raise ResilienceError(f"the inventory is not JSON: {error}") from error
        if len(listed.files) >= memory.MANY_PATHS:
            memory.give_large_blocks_back()
        with keepalive(b"\n"):
            result = placement.apply_inventory(store, listed, session=arrivals)
    output = {
        **{field.name: getattr(result, field.name) for field in dataclasses.fields(result)},
        "placed": result.placed[:_MOST_NAMED],
        "placed_count": len(result.placed),
        "refused_message": to_form(result.refused),
    }
    return session.send(json.dumps(output) + "\n")


COMMANDS: dict[str, Callable[[GateSession, list[str]], int]] = {"chefwell-commit": _commit}
