# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivers messages and dead-man pings in another process, so that neither a service that hangs nor
a library that is missing or large ever reaches the run that has something to tell.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common import process
from ..common.errors import ResilienceError

# What a ping tells (healthchecks.io, "Pinging API"): appended to the path of its address.
PING_ACTIONS = {"start": "/start", "success": "", "fail": "/fail"}
# The body of a ping; healthchecks keeps the first 100 kB.
PING_BODY = 10_000


@dataclasses.dataclass(frozen=True)
class Message:
    """One message for one service.

    Attributes:
        id: tells it apart.
        service: which service, as `service_id` names it: no secret, unlike the address.
        title, body: what it says.
        kind: `info`, `success`, `warning` or `failure`, as Apprise has them.
    """

    id: str
    service: str
    title: str
    body: str
    kind: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def service_id(address: str) -> str:
    """A name for a service's address that gives no secret away."""

    return hashlib.sha256(address.encode()).hexdigest()[:16]


def service_name(address: str) -> str:
    """What a service is called in a log: its scheme, for the rest may be secret."""
    return f"{address.partition('://')[0]}://"


def deliver(
    messages: Sequence[Message], addresses: Mapping[str, str], *, time_limit: float = 60
) -> dict[str, str | None]:
    """Tries to deliver each message once.

    Args:
        messages: in the order to send them in.
        addresses: of the services (Apprise URLs), by `service_id`.
        time_limit: seconds for all together; services are tried at the same time.

    Returns:
        For each message's id None when it was delivered, or in words why it was not.
    """

    by_service: dict[str, list[Message]] = {}
    for message in messages:
        by_service.setdefault(message.service, []).append(message)

    def serve(service: str) -> dict[str, str | None]:
        own = by_service[service]
        told = [message.to_dict() for message in own]
        outcomes = _work({"messages": told, "address": addresses[service]}, time_limit)
        late = outcomes.pop("", f"no answer within {time_limit:g} s")
        return {message.id: outcomes.get(message.id, late) for message in own}

    found: dict[str, str | None] = {}
    # A process for each service: one that hangs keeps no other waiting.
    with ThreadPoolExecutor(max_workers=max(1, len(by_service))) as pool:
        for outcomes in pool.map(serve, by_service):
            found |= outcomes
    return found


def ping(address: str, action: str, body: str = "", *, time_limit: float = 20) -> str | None:
    """Sends a dead-man ping, in up to three tries.

    Args:
        address: of the check, without the action.
        action: `start`, `success` or `fail`.
        body: what the run said.
        time_limit: seconds for all tries.

    Returns:
        None when it arrived, or in words why not.
    """
    work = {"ping": {"address": address, "path": PING_ACTIONS[action], "body": body[-PING_BODY:]}}
    outcomes = _work(work, time_limit)
    return outcomes.get("ping", outcomes.get("", f"no answer within {time_limit:g} s"))


def _work(work: Mapping[str, Any], time_limit: float) -> dict[str, str | None]:
    """What the worker says of each piece of work; of itself under an empty id."""

    # Addresses hold passwords: they travel by standard input, which no process list shows.
    arguments = [sys.executable, "-P", "-m", f"{__package__}.delivery_worker"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        outcome = process.run(
            arguments, time_limit=time_limit, env=environment, input=json.dumps(work).encode()
        )
    except ResilienceError as error:
        return {"": str(error)}
    found: dict[str, str | None] = {}
    for line in outcome.output.splitlines():
        try:
            name, why = json.loads(line)
        except ValueError:
            continue
        found[name] = why
    if outcome.code != 0 and not outcome.timed_out:
        said = outcome.errors.strip().splitlines() or [outcome.ending()]
        found[""] = f"the worker failed: {said[-1]}"
    return found
