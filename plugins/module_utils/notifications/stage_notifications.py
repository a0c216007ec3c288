# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every stage's command does around `announce`: its keys checked, the history opened, pings
sent and metrics written, so that trouble with any of them is a sentence and never the run's end.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..history.history import History
from . import delivery, metrics, notify
from .metrics import Gauge
from .notify import Channels


def check(settings: Mapping[str, Any], metrics_name: str = "") -> None:
    """Everything that can be wrong with where people are told, before anything is touched.

    Args:
        settings: values of `notification_keys.KEYS`, and perhaps `metrics_file`.
        metrics_name: a name for the metrics file, as an example.

    Raises:
        ResilienceError: an address is none; never shows one, for it may hold a password.
    """
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
    metrics_file = settings.get("metrics_file") or ""
    if metrics_file and not metrics_file.endswith(".prom"):
        raise ResilienceError(
            "node_exporter reads only textfiles whose name ends in .prom",
            option="metrics_file",
            value=metrics_file,
            remedy=f"give it a name such as {metrics_name}",
        )
    for name, least in (("remind_hours", 0), ("notify_time_limit", 1)):
        if settings[name] < least:
            raise ResilienceError(
                f"this is below {least}",
                option=name,
                value=settings[name],
                remedy=f"give {least} or more",
            )


def channels(settings: Mapping[str, Any]) -> Channels:
    """Where people are told, from values of `notification_keys.KEYS`."""

    return notify.Channels(
        settings["notify_urls"],
        settings["remind_hours"],
        settings["notify_time_limit"],
        settings["host_name"] or os.uname().nodename,
        settings["fallback_dir"],
    )


@contextlib.contextmanager
def history(state_dir: str, problems: list[str]) -> Iterator[History | None]:
    """The history, or None: no trouble with it may keep anything from being told.

    Args:
        state_dir: where it lies.
        problems: what is wrong with it is added here, in words.
    """

    try:
        opened = History(state_dir)
    except ResilienceError as error:
        problems.append(str(error))
        yield None
        return
    with opened:
        if opened.problem:
            problems.append(opened.problem)
        yield opened


def ping(settings: Mapping[str, Any], action: str, body: str, problems: list[str]) -> None:
    """Sends a dead-man ping where one is asked for.

    Args:
        settings: values of `notification_keys.KEYS`.
        action: `start`, `success` or `fail`.
        body: what the run says.
        problems: why it did not arrive is added here, in words.
    """
    if settings["ping_url"]:
        why = delivery.ping(settings["ping_url"], action, body)
        if why:
            problems.append(f"the {action} ping did not arrive: {why}")


def write_metrics(path: str, gauges: Callable[[], Sequence[Gauge]], problems: list[str]) -> None:
    """Writes a stage's metrics where that is asked for.

    Args:
        path: the textfile; empty for none.
        gauges: gives the metrics.
        problems: why they could not be written is added here, in words.
    """
    if path:
        try:
            metrics.write(path, gauges())
        except ResilienceError as error:
            problems.append(str(error))
