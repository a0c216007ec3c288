# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to the gate: the copy, what the key may do with it, and what is written back."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator

from ..common.messages import Message
from .server_alarms import WARNINGS
from .server_store import Store

WRITE, READ = "write", "read"


class GateSession:
    """What one key may do with one copy.

    Args:
        store: the copy.
        allow: `write` to add to it, `read` to fetch from it; both may list it.
        config_file: the client's configuration.
    """

    def __init__(self, store: Store, allow: str, config_file: str) -> None:
        self.store = store
        self.allow = allow
        self.config_file = config_file

    def send(self, text: str) -> int:
        """Write text, and return the exit code of a request that was served."""
        sys.stdout.buffer.write(os.fsencode(text))
        sys.stdout.buffer.flush()
        return 0

    def write_records(self, records: Iterable[str]) -> None:
        """Write records in parts, so that a large copy takes no memory."""
        remaining = iter(records)
        while part := list(itertools.islice(remaining, 2000)):
            self.send("".join(f"{record}\0" for record in part))

    def alarm_records(self) -> list[str]:
        """Return the records of the alarms that stand."""
        alarms = sorted(self.store.alarms.all().items())
        records = [
            f"{'notice' if kind in WARNINGS else 'alarm'} {kind} {alarm.since} {alarm.reason}"
            for kind, alarm in alarms
        ]
        records += [
            f"alarm-message {kind} {json.dumps(alarm.reason.form)}"
            for kind, alarm in alarms
            if isinstance(alarm.reason, Message)
        ]
        return records


@contextlib.contextmanager
def keepalive(byte: bytes) -> Iterator[None]:
    """Write a byte without meaning each second, so that the client sees that work goes on."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(1):
            with contextlib.suppress(OSError):  # the client is gone; the work goes on
                sys.stdout.buffer.write(byte)
                sys.stdout.buffer.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
