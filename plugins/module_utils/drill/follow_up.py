# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows a drill: it is remembered, measured, told to people, and the runbook is renewed.

None of this changes the verdict, and nothing of it keeps another part from being done: whatever
fails is told in words.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gettext
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common import messages
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import CRITICAL, OK, UNKNOWN, WARNING
from ..history.history import Event, History
from ..notifications import delivery, metrics, notify
from ..notifications.alerts import Condition
from ..notifications.metrics import Gauge
from ..pages import render_drill, render_history
from ..proof import proof_settings
from ..recovery import recovery, runbook
from ..staging import staging
from . import drill_report

STAGE, KIND = "staging", "drill"
LEVEL = {
    proof_settings.PASSED: OK,
    proof_settings.FAILED: CRITICAL,
    proof_settings.COULD_NOT_VERIFY: UNKNOWN,
}


@dataclasses.dataclass(frozen=True)
class FollowUpSettings:
    """Who is told, and where.

    Attributes:
        notify_urls: Apprise URLs.
        notify_remind_hours: after which what is still not ok is told again; 0 for never.
        ping_url: of a dead-man check, without an action; empty for none.
        metrics_file: Prometheus textfile; empty for none.
    """

    notify_urls: Sequence[str] = ()
    notify_remind_hours: float = 24
    ping_url: str = ""
    metrics_file: str = ""


def begin(settings: FollowUpSettings) -> list[str]:
    """Tells the dead-man check that a drill begins; what went wrong, in words."""
    problem = delivery.ping(settings.ping_url, "start") if settings.ping_url else None
    return [f"the dead-man check was not told: {problem}"] if problem else []


def follow(
    values: Mapping[str, Any], settings: FollowUpSettings, result: Mapping[str, Any]
) -> list[str]:
    """Does what follows a drill.

    Args:
        values: the stage's configuration.
        settings: who is told.
        result: the drill's.

    Returns:
        In words, what went wrong.
    """
    problems: list[str] = []

    def attempt(what: Callable[[], Sequence[str] | None]) -> None:
        try:
            problems.extend(what() or ())
        except ResilienceError as error:
            problems.append(str(error))

    history: History | None = None
    with contextlib.ExitStack() as stack:
        try:
            history = stack.enter_context(History(values["state_dir"]))
        except ResilienceError as error:
            problems.append(str(error))
        attempt(lambda: _remember(history, result))
        attempt(lambda: _report(values, history, result))
        attempt(lambda: _announce(values, settings, history, result))
    attempt(lambda: _measure(settings, result))
    attempt(lambda: _ping(settings, result))
    attempt(lambda: renew_runbook(values, result)[1])
    return problems


def renew_runbook(
    values: Mapping[str, Any], result: Mapping[str, Any] | None
) -> tuple[bool, list[str]]:
    """Writes the runbook, if one is wanted.

    Returns:
        Whether it has changed, measurements aside; what went wrong.
    """
    if not values["runbook"]:
        return False, []
    target = staging.from_mapping(recovery.RecoveryServer, "recovery", values["recovery"])
    return runbook.write(values, target, result), []


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """What is remembered of a drill."""
    backup, restore = result["backup"], result["restore"] or {}
    return {
        "verdict": result["verdict"],
        "problem": result["problem"],
        "file": backup.get("file"),
        "bytes": backup.get("bytes"),
        "rows": result["totals"].get("rows"),
        "restore_seconds": restore.get("seconds"),
        "total_seconds": result["total_seconds"],
        "rto_seconds": result["rto_seconds"],
        "rpo_seconds": result["rpo_seconds"],
        **{name: result[name] for name in ("passed", "failed", "skipped", "confidence")},
    }


def level_of(result: Mapping[str, Any]) -> str:
    """The level of a drill: one that passed, but has something doubtful to tell, is a warning."""
    level = LEVEL[result["verdict"]]
    return WARNING if level == OK and _doubts(result) else level


def _doubts(result: Mapping[str, Any]) -> list[str]:
    """What fell since the last drill: it proves nothing, but people should look."""
    return [
        str(check["evidence"])
        for check in result["checks"]
        if check["id"] == "previous" and check["findings"]
    ]


def _remember(history: History | None, result: Mapping[str, Any]) -> None:
    if history is not None:
        level = level_of(result)
        history.add_event(Event(STAGE, KIND, time.time(), level, summary(result)))


def _report(
    values: Mapping[str, Any], history: History | None, result: Mapping[str, Any]
) -> list[str]:
    if not values["report_dir"]:
        return []
    events = history.events(STAGE, KIND, limit=render_history.MOST) if history else []
    past = [{**event.data, "time": event.time} for event in events]
    past.sort(key=lambda one: float(one["time"]))
    return drill_report.write(values["report_dir"], result, past, values["language"])


def _announce(
    values: Mapping[str, Any],
    settings: FollowUpSettings,
    history: History | None,
    result: Mapping[str, Any],
) -> list[str]:
    language = translations(values["language"])
    level = level_of(result)
    condition = Condition(
        KIND, language.gettext("Restore drill"), level, level, reason(language, result)
    )
    channels = notify.Channels(
        tuple(settings.notify_urls), settings.notify_remind_hours, host=socket.gethostname()
    )
    done = notify.notify(STAGE, [condition], channels, history, language, now=time.time())
    return done.problems


def reason(language: gettext.NullTranslations, result: Mapping[str, Any]) -> str:
    """In one line, what a drill came to."""
    result = dict(messages.translate_result(language, result))
    failed = [check["evidence"] for check in result["checks"] if check["status"] == "failed"]
    wrong = [*failed, *_doubts(result)][:3]
    said = [result["problem"], *wrong] if result["problem"] else wrong
    file = result["backup"].get("file", "?")
    verdict = render_drill.verdict_text(language, result)
    return f"{file}: {verdict}" + (f" - {'; '.join(said)}" if said else "")


def _measure(settings: FollowUpSettings, result: Mapping[str, Any]) -> None:
    if not settings.metrics_file:
        return
    name = "chefwell_restore_drill_"
    figures = summary(result)
    gauges = [
        Gauge(f"{name}time_seconds", "When the last drill ended, since 1970.", time.time()),
        Gauge(
            f"{name}passed",
            "1 if the newest backup was proved to restore, 0 if it was proved not to;"
            " absent if that could not be found out.",
            {proof_settings.PASSED: 1.0, proof_settings.FAILED: 0.0}.get(result["verdict"]),
        ),
        *(
            Gauge(f"{name}{key}", text, figures[key])
            for key, text in (
                ("rto_seconds", "From the start of the drill to a validated, serving system."),
                ("rpo_seconds", "Age of the newest backup that was proved to restore."),
                ("restore_seconds", "What restoring took."),
                ("total_seconds", "What the whole drill took."),
                ("confidence", "Percent of the checks that passed."),
            )
        ),
        Gauge(f"{name}backup_bytes", "Size of the backup that was tried.", figures["bytes"]),
        *(
            Gauge(f"{name}checks", "Checks by result.", result[status], {"result": status})
            for status in ("passed", "failed", "skipped")
        ),
        *(
            Gauge(
                f"{name}phase_seconds",
                "What a phase took.",
                phase["seconds"],
                {"phase": phase["name"]},
            )
            for phase in result["phases"]
        ),
    ]
    metrics.write(settings.metrics_file, gauges)


def _ping(settings: FollowUpSettings, result: Mapping[str, Any]) -> list[str]:
    if not settings.ping_url:
        return []
    action = "success" if result["verdict"] == proof_settings.PASSED else "fail"
    problem = delivery.ping(settings.ping_url, action, json.dumps(summary(result)))
    return [f"the dead-man check was not told: {problem}"] if problem else []
