# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sync leaves behind for others: history, notifications, pings and metrics."""

from __future__ import annotations

import contextlib
import datetime
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.language import words
from ..disk.disk_levels import CRITICAL, OK, WARNING
from ..telling import announce, notify
from ..telling.alerts import Condition
from ..telling.history import Event, History
from .offsite_settings import FAILED, LOCKED, REFUSED, SyncResult
from .offsite_settings import WARNING as DOUBTFUL

STAGE = "offsite"
_LEVELS = {DOUBTFUL: WARNING, REFUSED: CRITICAL, FAILED: CRITICAL}


def checked(settings: Mapping[str, Any]) -> None:
    """Everything that can be wrong with where people are told, before anything is touched.

    Raises:
        ResilienceError: an address is none; never shows one, for it may hold a password.
    """
    words(settings["language"])
    for address in settings["notify_urls"]:
        if not isinstance(address, str) or "://" not in address:
            raise ResilienceError(
                "one of the addresses is no Apprise URL",
                option="notify_urls",
                value="(not shown: it may hold a password)",
                remedy="write it as json://host/path, mailto://... or another of Apprise's",
            )
    if settings["ping_url"] and not settings["ping_url"].startswith(("http://", "https://")):
        raise ResilienceError(
            "the address of the dead-man check is no http or https address",
            option="ping_url",
            remedy="write it as https://hc-ping.com/...",
        )
    if settings["metrics_file"] and not settings["metrics_file"].endswith(".prom"):
        raise ResilienceError(
            "node_exporter reads only textfiles whose name ends in .prom",
            option="metrics_file",
            value=settings["metrics_file"],
            remedy="give it a name such as chefwell_offsite.prom",
        )


def ping(settings: Mapping[str, Any], action: str, body: str = "") -> list[str]:
    """Sends a dead-man ping where one is asked for; in words what went wrong."""
    if not settings["ping_url"]:
        return []
    why = notify.ping(settings["ping_url"], action, body)
    return [f"the {action} ping did not arrive: {why}"] if why else []


def reported(settings: Mapping[str, Any], results: Sequence[SyncResult]) -> list[str]:
    """Remembers the syncs, tells people what changed and writes the metrics.

    Returns:
        In words what of that went wrong.
    """
    problems: list[str] = []
    moment = time.time()
    with _history(settings, problems) as history:
        known = [result for result in results if result.status != LOCKED]
        if history is not None and history.writable:
            for result in known:
                try:
                    history.add_event(_event(result, moment))
                except ResilienceError as error:
                    problems.append(str(error))
        if len(known) == len(results):
            # With another sync at work nothing is known of how things stand.
            channels = announce.Channels(
                addresses=settings["notify_urls"],
                remind_hours=settings["remind_hours"],
                host=platform.node(),
            )
            outcome = announce.announce(
                STAGE,
                [one for result in known for one in _conditions(result)],
                channels,
                history,
                words(settings["language"]),
                now=moment,
            )
            problems += outcome.problems
    if settings["metrics_file"]:
        problems += _metrics(settings["metrics_file"], results, moment)
    return problems


@contextlib.contextmanager
def _history(settings: Mapping[str, Any], problems: list[str]) -> Iterator[History | None]:
    try:
        history = History(settings["state_dir"])
    except ResilienceError as error:
        problems.append(str(error))
        yield None
        return
    if history.problem:
        problems.append(history.problem)
    with history:
        yield history


def _event(result: SyncResult, moment: float) -> Event:
    kept = ("status", "kind", "message", "destination", "name", "files_sent", "files_aside")
    values = result.to_dict()
    data = {key: values[key] for key in (*kept, "bytes_of_files", "bytes_sent", "seconds")}
    return Event(STAGE, "sync", moment, _LEVELS.get(result.status, OK), data)


def _conditions(result: SyncResult) -> list[Condition]:
    level = _LEVELS.get(result.status, OK)
    reason = "; ".join([result.message, *result.warnings])[:2000]
    name = f"offsite {result.destination}"
    key = result.name or "default"
    found = [Condition(f"sync:{key}", name, level, level, reason)]
    alarm = CRITICAL if result.server_alarms else OK
    said = "; ".join(result.server_alarms)[:2000]
    if result.kind in ("", "server_guard", "guard"):
        # Only a server that was reached tells how it stands.
        found.append(Condition(f"server:{key}", f"{name} (server)", alarm, alarm, said))
    return found


def _metrics(path: str, results: Sequence[SyncResult], moment: float) -> list[str]:
    from ..telling import metrics  # noqa: PLC0415 - most runs write none

    found = [
        metrics.Gauge(
            "chefwell_offsite_last_run_timestamp_seconds", "When a sync last ran.", moment
        )
    ]
    for result in results:
        labels = {"destination": result.destination}
        good = _LEVELS.get(result.status, OK) != CRITICAL and result.status != LOCKED
        values: dict[str, tuple[str, float | None]] = {
            "success": ("1 when the last sync was done whole.", float(good)),
            "last_success_timestamp_seconds": ("When that was.", _good_time(result, good)),
            "files_sent": ("Backups sent.", result.files_sent),
            "bytes_sent": ("Bytes on the wire.", result.bytes_sent),
            "seconds": ("How long it took.", result.seconds),
            "server_alarms": ("Alarms of the server's own job.", len(result.server_alarms)),
        }
        found += [
            metrics.Gauge(f"chefwell_offsite_{name}", text, value, labels)
            for name, (text, value) in values.items()
        ]
    try:
        metrics.write(path, found)
    except ResilienceError as error:
        return [str(error)]
    return []


def _good_time(result: SyncResult, good: bool) -> float | None:
    text = result.time if good else result.last_good
    return datetime.datetime.fromisoformat(text).timestamp() if text else None
