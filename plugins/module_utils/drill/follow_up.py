# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows a drill: history, reports, notifications, metrics and the runbook.

None of this changes the verdict, and none of it keeps another part from being done: each returns
its problems as texts.
"""

from __future__ import annotations

import gettext
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common import messages
from ..common.errors import ResilienceError
from ..common.language import translations
from ..common.levels import CRITICAL, OK, UNKNOWN, WARNING
from ..history.history import Event, History, open_history
from ..notifications import metrics, notify, ping
from ..notifications.alerts import Condition
from ..notifications.metric_catalogue import gauge
from ..notifications.metrics import Gauge
from ..pages import render_drill, render_history, status_file
from ..proof import proof_settings, restore_settings
from ..proof.restore_settings import RestoreSettings
from ..recovery import runbook
from . import drill_report

STAGE, KIND = "staging", "drill"
LEVEL = {
    proof_settings.PASSED: OK,
    proof_settings.FAILED: CRITICAL,
    proof_settings.COULD_NOT_VERIFY: UNKNOWN,
}


def check_settings(settings: RestoreSettings) -> None:
    """Check who is notified and where metrics go.

    Raises:
        ResilienceError: one is wrong.
    """
    settings.check_notifications()
    settings.check_status_page()
    metrics.validate_path(settings.metrics_file, "chefwell_restore_drill.prom")


def begin(settings: RestoreSettings) -> list[str]:
    """Ping the dead man's switch at the start of a drill; return the problems."""
    problems: list[str] = []
    ping.ping_or_report(settings.ping_url, "start", "", problems)
    return problems


def follow(settings: RestoreSettings, result: Mapping[str, Any]) -> list[str]:
    """Do what follows a drill.

    Args:
        settings: of the stage.
        result: the drill's.

    Returns:
        The problems, one text each.
    """
    problems: list[str] = []

    def attempt(part: Callable[[], Sequence[str] | None]) -> None:
        try:
            problems.extend(part() or ())
        except ResilienceError as error:
            problems.append(error.message())

    with open_history(settings.state_dir, problems) as history:
        attempt(lambda: _record(history, result))
        attempt(lambda: _report(settings, history, result))
        attempt(lambda: _notify(settings, history, result))
        status_file.write_or_report(settings, history, time.time(), problems)
        last_success = _last_success(history)
    metrics.write_or_report(settings.metrics_file, lambda: _gauges(result, last_success), problems)
    action = "success" if result["verdict"] == proof_settings.PASSED else "fail"
    ping.ping_or_report(settings.ping_url, action, json.dumps(summary(result)), problems)
    attempt(lambda: renew_runbook(settings, result)[1])
    return problems


def renew_runbook(
    settings: RestoreSettings, result: Mapping[str, Any] | None
) -> tuple[bool, list[str]]:
    """Write the runbook, if its path is configured.

    Returns:
        Whether it has changed, measurements aside; the problems.
    """
    if not settings.runbook:
        return False, []
    target = restore_settings.recovery_server(settings)
    return runbook.write(settings, target, result), []


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the history keeps of a drill."""
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
    """Return the level of a drill; one that passed with a doubt is a warning."""
    level = LEVEL[result["verdict"]]
    doubtful = _doubts(result) or result.get("rpo_broken")
    return WARNING if level == OK and doubtful else level


def _doubts(result: Mapping[str, Any]) -> list[str]:
    """Return what decreased since the last drill: it proves nothing, but people should look."""
    return [
        str(check["evidence"])
        for check in result["checks"]
        if check["id"] == "previous" and check["findings"]
    ]


def _record(history: History | None, result: Mapping[str, Any]) -> None:
    if history is not None:
        level = level_of(result)
        history.add_event(Event(STAGE, KIND, time.time(), level, summary(result)))


def _report(
    settings: RestoreSettings, history: History | None, result: Mapping[str, Any]
) -> list[str]:
    if not settings.report_dir:
        return []
    events = history.events(STAGE, KIND, limit=render_history.MOST) if history else []
    past = [{**event.data, "time": event.time} for event in events]
    past.sort(key=lambda one: float(one["time"]))
    return drill_report.write(settings.report_dir, result, past, settings.language)


def _notify(
    settings: RestoreSettings,
    history: History | None,
    result: Mapping[str, Any],
) -> list[str]:
    language = translations(settings.language)
    level = level_of(result)
    condition = Condition(
        KIND, language.gettext("Restore drill"), level, level, reason(language, result)
    )
    done = notify.notify(STAGE, [condition], settings, history, language, now=time.time())
    return done.problems


def reason(language: gettext.NullTranslations, result: Mapping[str, Any]) -> str:
    """Return the verdict of a drill and its reasons in one line."""
    result = dict(messages.translate_result(language, result))
    failed = [check["evidence"] for check in result["checks"] if check["status"] == "failed"]
    wrong = [*failed, *_doubts(result)][:3]
    reasons = [result["problem"], *wrong] if result["problem"] else wrong
    file = result["backup"].get("file", "?")
    verdict = render_drill.verdict_text(language, result)
    return f"{file}: {verdict}" + (f" - {'; '.join(reasons)}" if reasons else "")


def _last_success(history: History | None) -> float | None:
    """Return when a drill last proved a backup; None where none is recorded."""
    try:
        events = (
            history.events(STAGE, KIND, limit=render_history.MOST, now=time.time())
            if history
            else []
        )
    except ResilienceError:  # recording the drill has reported it
        return None
    passed = (one.time for one in events if one.data.get("verdict") == proof_settings.PASSED)
    return next(passed, None)


def _gauges(result: Mapping[str, Any], last_success: float | None) -> list[Gauge]:
    name = "chefwell_restore_drill_"
    figures = summary(result)
    confidence = figures["confidence"]
    passed = {proof_settings.PASSED: 1.0, proof_settings.FAILED: 0.0}.get(result["verdict"])
    return [
        gauge(f"{name}last_run_timestamp_seconds", time.time()),
        gauge(f"{name}last_success_timestamp_seconds", time.time() if passed else last_success),
        gauge(f"{name}passed", passed),
        gauge(f"{name}rto_seconds", figures["rto_seconds"]),
        gauge(f"{name}rpo_seconds", figures["rpo_seconds"]),
        gauge(f"{name}restore_duration_seconds", figures["restore_seconds"]),
        gauge(f"{name}duration_seconds", figures["total_seconds"]),
        gauge(f"{name}confidence_ratio", None if confidence is None else confidence / 100),
        gauge(f"{name}backup_bytes", figures["bytes"]),
        *(
            gauge(f"{name}checks", result[status], {"result": status})
            for status in ("passed", "failed", "skipped")
        ),
        *(
            gauge(f"{name}phase_duration_seconds", phase["seconds"], {"phase": phase["name"]})
            for phase in result["phases"]
        ),
    ]
