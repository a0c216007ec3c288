# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checkpoint: does the system in production work? The plan's seven items, each with its evidence.

An item has one of four results: `passed`; `failed`; `unknown`, its check could not be made;
`skipped`, it is not configured. A checkpoint passes if every configured item does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..checks import checks
from ..checks.checks import FAILED, PASSED, SKIPPED, CheckResult
from ..common.messages import _, from_form, join, to_form
from ..common.redact import redact
from ..common.safe_text import error_line
from . import checkpoint_items
from .checkpoint_settings import ITEMS, TITLES, CheckpointSettings

UNKNOWN = "unknown"
# A response that demands a longer wait than this is not waited for to its end.
LONGEST_WAIT = 120.0


@dataclasses.dataclass(frozen=True)
class CheckpointResult:
    """The result of a checkpoint.

    Attributes:
        status: `passed`, `failed`, `unknown`, or `skipped` when nothing was checked.
        items: every item, the skipped ones too, in the plan's order.
        began: Unix time of its beginning, the `since` of the next one.
    """

    status: str
    items: list[CheckResult]
    began: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        return {
            "status": self.status,
            "checks": [item.to_dict() for item in self.items],
            "began": self.began,
            "message": self.message,
        }

    @property
    def message(self) -> str:
        """Return what did not pass, in one line."""
        bad = [item for item in self.items if item.status in (FAILED, UNKNOWN)]
        if bad:
            texts = {FAILED: "failed", UNKNOWN: "could not be checked"}
            return "; ".join(f"{item.title}: {texts[item.status]}: {item.evidence}" for item in bad)
        passed = [item for item in self.items if item.status == PASSED]
        return f"{len(passed)} of {len(self.items)} items checked, all passed"


def run(
    settings: CheckpointSettings,
    *,
    since: float | None = None,
    read_only: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> CheckpointResult:
    """Check every configured item.

    Args:
        settings: of the checkpoint.
        since: Unix time on this host; errors in the logs, and tasks that failed, count from then
            on. Without one, from `log_seconds` ago.
        read_only: whether the test order is left out.
        sleep: waits between two attempts.
    """
    began = time.time()
    start = since if since is not None else began - settings.log_seconds
    item_checks = checkpoint_items.item_checks(settings, start, read_only)
    items = []
    for name in ITEMS:
        if name not in settings.items:
            result = CheckResult(name, TITLES[name], SKIPPED, _("not configured"))
        elif isinstance(check := item_checks[name], str):
            result = CheckResult(name, TITLES[name], SKIPPED, check)
        else:
            result = _repeat(name, check, settings, sleep)
        items.append(_redacted(result, settings.secrets))
    return CheckpointResult(_worst_status(items), items, began)


def _repeat(
    name: str,
    check: checkpoint_items.Check,
    settings: CheckpointSettings,
    sleep: Callable[[float], None],
) -> CheckResult:
    """Make a check until it passes, as often as configured; the last result counts."""
    started = time.monotonic()
    for number in range(1, settings.tries + 1):
        attempt = None
        try:
            attempt = check()
            seconds = time.monotonic() - started
            result = checks.conclude(name, attempt.evidence, seconds, TITLES[name])
        except checkpoint_items.CannotCheck as error:
            seconds = time.monotonic() - started
            result = CheckResult(name, TITLES[name], UNKNOWN, error.reason, seconds)
        except Exception as error:  # whatever failed, the check was not made
            seconds = time.monotonic() - started
            result = CheckResult(name, TITLES[name], UNKNOWN, error_line(error), seconds)
        again = attempt is None or attempt.again
        if result.status == PASSED or not again or number == settings.tries:
            break
        wait = (attempt.wait if attempt else None) or 0
        if wait > LONGEST_WAIT:
            text = _("not tried again: it demands a wait of %(seconds)d s", seconds=min(wait, 1e9))
            result = dataclasses.replace(result, evidence=join([result.evidence, text], "; "))
            break
        sleep(max(settings.retry_seconds, wait))
    if number > 1:
        result = dataclasses.replace(
            result, evidence=join([result.evidence, _("(try %(number)d)", number=number)], " ")
        )
    return result


def _without(text: str, secrets: Sequence[str]) -> str:
    """Return a text without secrets; a message stays one, with values that hold none."""
    return from_form(_form_without(to_form(text), secrets), redact(text, secrets))


def _form_without(form: Any, secrets: Sequence[str]) -> Any:
    if isinstance(form, str):
        return redact(form, secrets)
    if not isinstance(form, Mapping):
        return form
    kept = dict(form)
    if "parts" in form:
        kept["parts"] = [_form_without(part, secrets) for part in form["parts"]]
    if "values" in form:
        kept["values"] = {
            name: _form_without(value, secrets) for name, value in form["values"].items()
        }
    return kept


def _redacted(check: CheckResult, secrets: Sequence[str]) -> CheckResult:
    return dataclasses.replace(
        check,
        evidence=_without(check.evidence, secrets),
        findings=[
            dataclasses.replace(found, text=_without(found.text, secrets))
            for found in check.findings
        ],
    )


def _worst_status(items: Sequence[CheckResult]) -> str:
    for status in (FAILED, UNKNOWN, PASSED):
        if any(item.status == status for item in items):
            return status
    return SKIPPED
