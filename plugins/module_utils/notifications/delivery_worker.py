# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that `notify` starts: work on standard input, one JSON line an outcome on its output.

Each line is a pair: the id of a message (or `ping`) and null, or why it was not delivered.
"""

from __future__ import annotations

import http.client
import json
import logging
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

PING_TRIES = 3
PING_SECONDS = 5


def _tell(name: str, why: str | None) -> None:
    sys.stdout.write(json.dumps([name, why]) + "\n")
    sys.stdout.flush()


class _Collected(logging.Handler):
    """Keeps what Apprise says went wrong; it logs that from threads of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.form: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.form.append(record.getMessage())


def _send_all(messages: Sequence[Mapping[str, Any]], address: str) -> None:
    """Sends messages to one service, in order."""
    try:
        import apprise
    except ImportError as error:
        for message in messages:
            _tell(message["id"], f"{error} - install apprise (Debian: apt install apprise)")
        return
    collected = _Collected()
    logger = logging.getLogger("apprise")
    logger.addHandler(collected)
    logger.propagate = False
    sender, broken = apprise.Apprise(), ""
    if not sender.add(address):
        broken = "Apprise does not understand the address"
    for message in messages:
        # A service that has just failed would make every other message wait for it too.
        # Said to be text, or a service of another kind (mail is HTML) takes it for its own: lines
        # run together there, and what looks like markup is some.
        if not broken and not sender.notify(
            title=message["title"],
            body=message["body"],
            notify_type=message["kind"],
            body_format=apprise.NotifyFormat.TEXT,
        ):
            broken = "; ".join(collected.form) or "Apprise could not deliver it"
        _tell(message["id"], broken or None)


def _target(parts: urllib.parse.SplitResult, path: str) -> str:
    """What a ping asks for: its action goes behind the path and before a query."""
    return urllib.parse.urlunsplit(("", "", parts.path.rstrip("/") + path or "/", parts.query, ""))


def _post(address: str, path: str, body: str) -> int:
    """Sends one ping; returns the status."""
    parts = urllib.parse.urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=PING_SECONDS)
    try:
        connection.request("POST", _target(parts, path), body.encode())
        return connection.getresponse().status
    finally:
        connection.close()


def _ping(address: str, path: str, body: str) -> None:
    why = ""
    for number in range(PING_TRIES):
        if number:
            time.sleep(number)
        try:
            status = _post(address, path, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            why = str(error)
            continue
        # A check that moved (3xx) has not counted the ping either.
        if 200 <= status < 300:
            _tell("ping", None)
            return
        why = f"answered {status}"
    _tell("ping", why)


def main() -> int:
    """Does the work; returns the exit code, which tells only whether the work was understood."""
    work = json.load(sys.stdin)
    if "ping" in work:
        _ping(**work["ping"])
    if work.get("messages"):
        _send_all(work["messages"], work["address"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
