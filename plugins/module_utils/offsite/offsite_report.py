# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report of a sync: history, notifications and metrics."""

from __future__ import annotations

import datetime
import gettext
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError, explanation
from ..common.language import translations
from ..common.levels import CRITICAL, OK, UNKNOWN, WARNING
from ..common.messages import _, join, translate
from ..history.history import Event, open_history
from ..notifications import metrics, notify
from ..notifications.alerts import Condition
from ..notifications.metric_catalogue import gauge
from ..notifications.metrics import Gauge
from ..pages import status_file
from . import offsite_verification
from .offsite_config import OffsiteSettings
from .offsite_settings import FAILED, LOCKED, REFUSED, SyncResult, SyncSettings
from .offsite_settings import WARNING as DOUBTFUL

STAGE, VERIFICATION = "offsite", "offsite-verification"
# Of a verification's exit code. The server's alarms, its 1, have a condition of their own.
_VERIFIED = {0: OK, 1: OK, 2: CRITICAL, 3: UNKNOWN}
_LEVELS = {DOUBTFUL: WARNING, REFUSED: CRITICAL, FAILED: CRITICAL}


def check_settings(settings: OffsiteSettings) -> None:
    """Check the notification settings, before anything is touched.

    Raises:
        ResilienceError: an address cannot be used; it is not shown, for it may hold a password.
    """
    translations(settings.language)
    settings.check_notifications()
    settings.check_status_page()
    metrics.validate_path(settings.metrics_file, "chefwell_offsite.prom")


def report(settings: OffsiteSettings, results: Sequence[SyncResult]) -> list[str]:
    """Store the syncs in the history, notify of what changed and write the metrics.

    Returns:
        The problems met, one sentence each.
    """
    problems: list[str] = []
    moment = time.time()
    catalogue = translations(settings.language)
    with open_history(settings.state_dir, problems) as history:
        known = [result for result in results if result.status != LOCKED]
        if history is not None and history.writable:
            for result in known:
                try:
                    history.add_event(_event(result, moment))
                except ResilienceError as error:
                    problems.append(error.message())
        if len(known) == len(results):
            # While another sync runs, the state is not known.
            outcome = notify.notify(
                STAGE,
                [one for result in known for one in alert_conditions(result, catalogue)],
                settings,
                history,
                catalogue,
                now=moment,
            )
            problems += outcome.problems
        status_file.write_or_report(settings, history, moment, problems)
    metrics.write_or_report(settings.metrics_file, lambda: _metrics(results, moment), problems)
    return problems


def record_verifications(
    settings: OffsiteSettings,
    verifications: Sequence[Mapping[str, Any]],
    broken: Sequence[tuple[SyncSettings, Exception]] = (),
) -> list[str]:
    """Store verifications in the history, notify of what differs, and write the status page.

    Args:
        settings: of the stage.
        verifications: as `offsite_verification.verify` returns them.
        broken: what was raised by those that could not be done.

    Returns:
        The problems met, one sentence each.
    """
    problems: list[str] = []
    moment = time.time()
    catalogue = translations(settings.language)
    with open_history(settings.state_dir, problems) as history:
        for one in verifications:
            if history is None or not history.writable:
                break
            comparison = one["comparison"]
            data = {"name": one["name"], "host": one["host"], "in_sync": comparison["in_sync"]}
            for kind in ("missing", "extra", "different", "unknown"):
                data[kind] = len(comparison[kind])
            level = _VERIFIED[offsite_verification.verify_exit_code(one)]
            try:
                history.add_event(Event(STAGE, "verify", moment, level, data))
            except ResilienceError as error:
                problems.append(error.message())
        conditions = [_verified(one, catalogue) for one in verifications]
        conditions += [_not_verified(one, error, catalogue) for one, error in broken]
        outcome = notify.notify(VERIFICATION, conditions, settings, history, catalogue, now=moment)
        problems += outcome.problems
        status_file.write_or_report(settings, history, moment, problems)
    metrics.write_or_report(
        metrics.beside(settings.metrics_file, "verification"),
        lambda: _verification_metrics(verifications, moment),
        problems,
    )
    return problems


def _verified(verification: Mapping[str, Any], catalogue: gettext.NullTranslations) -> Condition:
    comparison = verification["comparison"]
    counts = {kind: len(comparison[kind]) for kind in ("missing", "extra", "different")}
    differs = _(
        "the copy differs from the backups: %(missing)d missing, %(extra)d extra, "
        "%(different)d different",
        **counts,
    )
    parts = [differs if any(counts.values()) else "", *comparison["unknown"]]
    level = _VERIFIED[offsite_verification.verify_exit_code(verification)]
    reason = translate(catalogue, join(parts, "; "))[:2000]
    key = f"verification:{verification['name'] or 'default'}"
    return Condition(key, f"offsite {verification['host']} (content)", level, level, reason)


def _not_verified(
    settings: SyncSettings, error: Exception, catalogue: gettext.NullTranslations
) -> Condition:
    reason = translate(
        catalogue, _("the copy could not be verified: %(why)s", why=explanation(error))
    )[:2000]
    key = f"verification:{settings.name or 'default'}"
    name = f"offsite {settings.transport.host} (content)"
    return Condition(key, name, UNKNOWN, UNKNOWN, reason)


def _event(result: SyncResult, moment: float) -> Event:
    kept = ("status", "kind", "message", "destination", "name", "files_sent", "files_aside")
    more = ("bytes_of_files", "bytes_sent", "seconds")
    data = {key: getattr(result, key) for key in (*kept, *more)}
    return Event(STAGE, "sync", moment, _LEVELS.get(result.status, OK), data)


def alert_conditions(result: SyncResult, catalogue: gettext.NullTranslations) -> list[Condition]:
    """Return the state of a destination for the notifications.

    Args:
        result: of its sync.
        catalogue: of the language of the notifications.
    """
    level = _LEVELS.get(result.status, OK)
    link = _("last link %(link)s", link=result.last_link) if result.last_link else ""
    # Before the warnings, of which many are cut off.
    reason = translate(catalogue, join([result.message, link, *result.warnings], "; "))[:2000]
    name = f"offsite {result.destination}"
    key = result.name or "default"
    found = [Condition(f"sync:{key}", name, level, level, reason)]
    alarm = CRITICAL if result.server_alarms else OK
    reason_text = translate(catalogue, join(result.server_alarms, "; "))[:2000]
    if result.kind in ("", "server_guard", "guard"):
        # Only a server that was reached has reported its alarms.
        found.append(Condition(f"server:{key}", f"{name} (server)", alarm, alarm, reason_text))
    return found


def _metrics(results: Sequence[SyncResult], moment: float) -> list[Gauge]:
    found = [gauge("chefwell_offsite_last_run_timestamp_seconds", moment)]
    for result in results:
        labels = {"destination": result.destination}
        good = _LEVELS.get(result.status, OK) != CRITICAL and result.status != LOCKED
        values = {
            "success": float(good),
            "last_success_timestamp_seconds": _good_time(result, good),
            "files_sent": result.files_sent,
            "sent_bytes": result.bytes_sent,
            "duration_seconds": result.seconds,
            "server_alarms": len(result.server_alarms),
        }
        found += [
            gauge(f"chefwell_offsite_{name}", value, labels) for name, value in values.items()
        ]
    return found


def _verification_metrics(verifications: Sequence[Mapping[str, Any]], moment: float) -> list[Gauge]:
    prefix = "chefwell_offsite_verification"
    found = [gauge(f"{prefix}_last_run_timestamp_seconds", moment)]
    passed = {OK: 1.0, CRITICAL: 0.0}
    for one in verifications:
        labels = {"destination": one["destination"]}
        level = _VERIFIED[offsite_verification.verify_exit_code(one)]
        found.append(gauge(f"{prefix}_passed", passed.get(level), labels))
        found += [
            gauge(f"{prefix}_backups", len(one["comparison"][kind]), {**labels, "result": kind})
            for kind in ("missing", "extra", "different", "unknown")
        ]
    return found


def _good_time(result: SyncResult, good: bool) -> float | None:
    text = result.time if good else result.last_good
    return datetime.datetime.fromisoformat(text).timestamp() if text else None
