# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status page of a host says, as plain values: disk, offsite copy and restore drill.

All of it is read from the history, so that each stage's run can write the whole page. Nothing is in
a language here except reasons, which are those of the notifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common import run_steps
from ..common.errors import ResilienceError
from ..common.levels import LEVELS, OK
from ..common.messages import _, with_forms
from ..common.safe_text import clean_all
from ..history.history import Event, History
from ..history.history_file import waiting
from ..notifications import alert_store, notify
from ..notifications.alerts import AlertState
from ..notifications.notification_settings import StageSettings

VERSION = 1
NEVER = "never"  # nothing has run yet
DISK, OFFSITE, DRILL = "disk", "offsite", "drill"
# Days of a disk's trend, and runs of another part's.
DAYS, RUNS = 30, 14
# Targets of a disk that get a row.
MOST_TARGETS = 12
# A destination without any sync for so long before the newest one is configured no longer.
GONE_SECONDS = 3 * 86400.0
HOUR = 3600.0


def host_status(settings: StageSettings, history: History | None, now: float) -> dict[str, Any]:
    """Return the status of this host; see docs/status.md for its keys.

    Args:
        settings: of the stage that has just run.
        history: open, or None where it cannot be opened.
        now: seconds since 1970.
    """
    problem, parts = "", list[dict[str, Any]]()
    if history is None:
        problem = _("the history cannot be opened; the log says why")
    else:
        try:
            # One step for all that is read: each one costs two messages to the supervisor.
            with waiting():
                parts = _parts(settings, history, now)
        except ResilienceError as error:
            problem = error.message()
    status = {
        "version": VERSION,
        "host": settings.named_host,
        "owner": settings.owner,
        "language": settings.language,
        "time": now,
        "problem": problem,
        "parts": parts,
    }
    return dict(clean_all(with_forms(status, "problem")))


def _parts(settings: StageSettings, history: History, now: float) -> list[dict[str, Any]]:
    began = history.began()
    with run_steps.step(alert_store.STEP):
        alerts = {
            stage: notify.states_in_force(
                stage, settings.named_host, history, settings.fallback_dir
            )
            for stage in ("disk", "offsite", "staging")
        }
    found = [
        _disk(history, alerts["disk"], now),
        *_offsite(history, alerts["offsite"], now),
        _drill(history, alerts["staging"], now),
    ]
    hours = settings.overdue_hours
    for part in found:
        limit = hours.get(part["id"], 0)
        since = part["good"] or began
        part["due"] = since + limit * HOUR if since else None
    return [part for part in found if hours.get(part["id"], 0)]


def _part(part: str, **values: Any) -> dict[str, Any]:
    """Return a part; what is not given is that of one that never ran.

    `level` is one of `LEVELS` or `NEVER`, `time` is that of the last run, `good` that of the last
    one that was good, `runs` has time and level of the last ones, the oldest first.
    """
    empty: dict[str, Any] = {
        "id": part,
        "name": "",
        "level": NEVER,
        "time": None,
        "good": None,
        "reasons": [],
        "figures": {},
        "runs": [],
        "targets": [],
    }
    return {**empty, **values}


def _disk(history: History, states: Mapping[str, AlertState], now: float) -> dict[str, Any]:
    samples = [
        sample
        for sample in history.newest_samples(now)
        if sample.target.partition(":")[0] in ("mount", "folder")
    ]
    bad = {key: state for key, state in states.items() if state.level != OK}
    if not samples and not bad:
        return _part(DISK)
    targets: list[dict[str, Any]] = []
    for sample in samples:
        state = bad.get(sample.target)
        kind, _colon, path = sample.target.partition(":")
        usable = (sample.bytes_used or 0) + (sample.bytes_available or 0)
        whole = sample.bytes_total or 0 if kind == "folder" else usable
        used = sample.bytes_used
        targets.append(
            {
                "key": sample.target,
                "path": path,
                "folder": kind == "folder",
                "level": state.level if state else OK,
                "percent": 100.0 * used / whole if used is not None and whole else None,
                "bytes_available": sample.bytes_available,
                "whole": whole,
            }
        )
    targets.sort(key=lambda one: (-LEVELS.index(one["level"]), -(one["percent"] or 0.0)))
    shown = targets[:MOST_TARGETS]
    days = history.most_used_by_day([target["key"] for target in shown], now, DAYS)
    for target in shown:
        whole = target["whole"]
        target["days"] = [
            None if used is None or not whole else 100.0 * used / whole
            for used in days[target["key"]]
        ]
    moment = max((sample.time for sample in samples), default=None)
    return _part(
        DISK,
        level=max((state.level for state in bad.values()), key=LEVELS.index, default=OK),
        time=moment,
        good=moment,
        reasons=_reasons(bad),
        figures={"targets": len(targets)},
        targets=shown,
    )


def _reasons(states: Mapping[str, AlertState]) -> list[dict[str, Any]]:
    """Return the alerts in force, the worst first."""
    worst_first = sorted(states.values(), key=lambda one: (-LEVELS.index(one.level), one.name))
    return [
        {"name": one.name, "level": one.level, "text": one.reason, "since": one.since}
        for one in worst_first
    ]


def _offsite(
    history: History, states: Mapping[str, AlertState], now: float
) -> list[dict[str, Any]]:
    by_name = _by_destination(history, "sync", now)
    verified = _by_destination(history, "verify", now)
    newest = max((events[0].time for events in by_name.values()), default=0.0)
    found = []
    for name, events in by_name.items():
        if events[0].time < newest - GONE_SECONDS:
            continue
        bad = {
            key: state
            for key, state in states.items()
            if state.level != OK and key.partition(":")[2] == name
        }
        figures = {
            key: events[0].data.get(key)
            for key in ("destination", "files_sent", "bytes_of_files", "seconds")
        }
        levels = [events[0].level, *(state.level for state in bad.values())]
        reasons = _reasons(bad) or _message(events[0])
        if name in verified:
            verification = verified[name][0]
            levels.append(verification.level)
            if verification.level != OK:
                reasons.append(_verification_reason(verification))
            figures["verified"] = verification.time
        found.append(
            _from_events(
                OFFSITE,
                events,
                name=name,
                level=max(levels, key=LEVELS.index),
                reasons=reasons,
                figures=figures,
            )
        )
    return found or [_part(OFFSITE)]


def _verification_reason(event: Event) -> dict[str, Any]:
    """Return why a verification is not ok; the page writes its text from the counts."""
    counts = {kind: event.data.get(kind, 0) for kind in ("missing", "extra", "different")}
    return {"name": "", "level": event.level, "text": "", "since": event.time, "counts": counts}


def _by_destination(history: History, kind: str, now: float) -> dict[str, list[Event]]:
    """Return the events of each destination, the newest first."""
    by_name: dict[str, list[Event]] = {}
    for event in history.events("offsite", kind, limit=10 * RUNS, now=now):
        by_name.setdefault(str(event.data.get("name") or "default"), []).append(event)
    return by_name


def _drill(history: History, states: Mapping[str, AlertState], now: float) -> dict[str, Any]:
    events = history.events("staging", "drill", limit=RUNS, now=now)
    if not events:
        return _part(DRILL)
    bad = {key: state for key, state in states.items() if key == "drill" and state.level != OK}
    keys = ("verdict", "file", "rows", "rto_seconds", "passed", "failed", "skipped")
    figures = {key: events[0].data.get(key) for key in keys}
    figures["seconds"] = [event.data.get("rto_seconds") for event in reversed(events)]
    return _from_events(
        DRILL,
        events,
        level=events[0].level,
        # The card's title says what it is about.
        reasons=[{**reason, "name": ""} for reason in _reasons(bad)] or _message(events[0]),
        figures=figures,
    )


def _from_events(part: str, events: list[Event], **values: Any) -> dict[str, Any]:
    """Return a part whose runs are events, given the newest first."""
    good = (event.time for event in events if event.level in (OK, "warning"))
    return _part(
        part,
        **{
            "time": events[0].time,
            "good": next(good, None),
            "runs": [[event.time, event.level] for event in reversed(events[:RUNS])],
            **values,
        },
    )


def _message(event: Event) -> list[dict[str, Any]]:
    """Return the reason of an event that is not ok, where no alert has it."""
    text = event.data.get("message") or event.data.get("problem") or ""
    if event.level == OK or not text:
        return []
    return [{"name": "", "level": event.level, "text": str(text), "since": event.time}]


def unreachable(host: str, problem: str) -> dict[str, Any]:
    """Return the status of a host that gave none."""
    return {"version": VERSION, "host": host, "problem": problem, "parts": [], "time": None}
