# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deliver messages and pings in a process of its own.

So neither a service that hangs nor a library that is missing or large reaches the run itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..common import engine_program, process
from ..common.errors import ResilienceError
from ..common.mask import mask
from ..common.messages import _, from_form
from .outbox import DeliveryOutcome

# What a ping says (healthchecks.io, "Pinging API"): appended to the path of its address.
PING_ACTIONS = {"start": "/start", "success": "", "fail": "/fail"}
# Bytes of a ping's body; healthchecks.io keeps the first 100 kB.
PING_BODY = 10_000


@dataclasses.dataclass(frozen=True)
class Parcel:
    """What is sent at once: one message, or a summary in place of several.

    Attributes:
        ids: of the messages in it.
        title, body: its text.
        kind: `success`, `warning` or `failure`, as Apprise has them.
    """

    ids: tuple[str, ...]
    title: str
    body: str
    kind: str


def service_id(address: str) -> str:
    """Return a name for a service's address that gives no secret away."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def service_name(address: str) -> str:
    """Return what a service is called in a log: its scheme, for the rest may be secret."""
    return f"{address.partition('://')[0]}://"


def _problem(printed: Any) -> str:
    """Return what the worker printed of a problem: a text, or the form of a message."""
    return from_form(printed, str(printed))


def deliver(
    parcels: Mapping[str, Sequence[Parcel]],
    addresses: Mapping[str, str],
    *,
    time_limit: float = 60,
) -> dict[str, DeliveryOutcome]:
    """Try to deliver parcels, again within the time limit where that may help.

    Args:
        parcels: by service, in the order to send them in.
        addresses: of the services (Apprise URLs), by `service_id`.
        time_limit: seconds for all together; services are tried at the same time.

    Returns:
        The result of each message, by its id.
    """

    def serve(service: str) -> dict[str, DeliveryOutcome]:
        own = list(parcels[service])
        work = {
            "parcels": [{**dataclasses.asdict(one), "number": n} for n, one in enumerate(own)],
            "address": addresses[service],
            "time_limit": time_limit,
        }
        lines, problem = _run_worker(work, time_limit)
        begun = {line["number"] for line in lines if "number" in line}
        outcomes = {line["number"]: line for line in lines if "problem" in line}
        found = {}
        for number, parcel in enumerate(own):
            line = outcomes.get(number) or {
                "problem": problem or _("no answer within %(limit)g s", limit=time_limit),
                # A worker that never ran has tried nothing, and will not next time either.
                "tried": number in begun or not begun,
            }
            outcome = DeliveryOutcome(
                _problem(line["problem"]), line.get("tried", True), line.get("retry_after", 0.0)
            )
            found.update(dict.fromkeys(parcel.ids, outcome))
        return found

    found: dict[str, DeliveryOutcome] = {}
    # A process for each service: one that hangs keeps no other waiting.
    with ThreadPoolExecutor(max_workers=max(1, len(parcels))) as pool:
        for outcomes in pool.map(serve, parcels):
            found |= outcomes
    return found


def ping(address: str, action: str, body: str = "", *, time_limit: float = 20) -> str | None:
    """Ping a dead man's switch, in up to three tries.

    Args:
        address: of the switch, without the action.
        action: `start`, `success` or `fail`.
        body: what the run printed.
        time_limit: seconds for all tries.

    Returns:
        None when it arrived, else the reason as text.
    """
    work = {
        "ping": {"address": address, "path": PING_ACTIONS[action], "body": mask(body)[-PING_BODY:]}
    }
    lines, problem = _run_worker(work, time_limit)
    for line in lines:
        return _problem(line["problem"]) or None
    return problem or _("no answer within %(limit)g s", limit=time_limit)


def _run_worker(work: Mapping[str, Any], time_limit: float) -> tuple[list[dict[str, Any]], str]:
    """Return the lines that the worker printed, and what went wrong with itself."""
    # Addresses hold passwords: they travel by standard input, which no process list shows.
    try:
        outcome = process.run(
            engine_program.command(f"{__package__}.delivery_worker"),
            time_limit=time_limit,
            env=engine_program.environment(),
            input=json.dumps(work).encode(),
            cwd=engine_program.FOLDER,
        )
    except ResilienceError as error:
        return [], error.message()
    lines = []
    for text in outcome.output.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # cut off in the middle, or a library's own
        if isinstance(line, dict):
            lines.append(line)
    if outcome.code != 0 and not outcome.timed_out:
        errors = outcome.errors.strip().splitlines() or [outcome.ending()]
        return lines, _("the worker failed: %(why)s", why=errors[-1])
    return lines, ""
