# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checkpoint: does the system in production work? The plan's seven items, each with its evidence.

An item comes to one of four results: `passed`; `failed`, what was asked is not so; `unknown`, it
could not be asked; `skipped`, nobody wanted it asked. Only a checkpoint of which every wanted item
passed has passed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..checks import checks
from ..checks.checks import FAILED, PASSED, SKIPPED, CheckResult
from ..common.redact import redact
from ..common.safe_text import error_line
from . import checkpoint_items
from .checkpoint_settings import ITEMS, TITLES, CheckpointSettings

UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class ItemResult:
    """What a checkpoint came to.

    Attributes:
        status: `passed`, `failed`, `unknown`, or `skipped` when nothing was asked.
        items: every item, the skipped ones too, in the plan's order.
        began: Unix time of its beginning, the `since` of the next one.
    """

    status: str
    items: list[CheckResult]
    began: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return {
            "status": self.status,
            "items": [item.to_dict() for item in self.items],
            "began": self.began,
            "message": self.message,
        }

    @property
    def message(self) -> str:
        """What did not pass, in one line."""
        bad = [item for item in self.items if item.status in (FAILED, UNKNOWN)]
        words = {FAILED: "failed", UNKNOWN: "could not be told"}
        if bad:
            return "; ".join(f"{item.title}: {words[item.status]}: {item.evidence}" for item in bad)
        asked = [item for item in self.items if item.status == PASSED]
        return f"{len(asked)} of {len(self.items)} items asked, all passed"


def run(
    settings: CheckpointSettings,
    *,
    since: float | None = None,
    read_only: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> ItemResult:
    """Asks every wanted item.

    Args:
        settings: what to ask whom.
        since: Unix time on this host; errors in the logs, and tasks that failed, count from then
            on. Without one, from `log_seconds` ago.
        read_only: whether the test order is left out.
        sleep: waits between two tries.
    """
    began = time.time()
    start = since if since is not None else began - settings.log_seconds
    questions = checkpoint_items.questions(settings, start, read_only)
    items = []
    for name in ITEMS:
        if name not in settings.items:
            check = CheckResult(name, TITLES[name], SKIPPED, "not wanted")
        elif isinstance(questions[name], str):
            check = CheckResult(name, TITLES[name], SKIPPED, str(questions[name]))
        else:
            check = _ask(name, questions[name], settings, sleep)
        items.append(_clean(check, settings.secrets))
    return ItemResult(_whole(items), items, began)


def _ask(
    name: str, question: Any, settings: CheckpointSettings, sleep: Callable[[float], None]
) -> CheckResult:
    """Asks until it passes, as often as wanted; the last result counts."""
    started = time.monotonic()
    for number in range(1, settings.tries + 1):
        try:
            answer, again = question()
            check = checks.conclude(name, answer, time.monotonic() - started, TITLES[name])
        except checkpoint_items.CannotTell as error:
            again = True
            check = CheckResult(name, TITLES[name], UNKNOWN, str(error), time.monotonic() - started)
        except Exception as error:  # whatever broke, it was not answered
            again = True
            words = error_line(error)
            check = CheckResult(name, TITLES[name], UNKNOWN, words, time.monotonic() - started)
        if check.status == PASSED or not again or number == settings.tries:
            break
        sleep(settings.retry_seconds)
    if number > 1:
        check = dataclasses.replace(check, evidence=f"{check.evidence} (try {number})")
    return check


def _clean(check: CheckResult, secrets: Sequence[str]) -> CheckResult:
    return dataclasses.replace(
        check,
        evidence=redact(check.evidence, secrets),
        findings=[
            dataclasses.replace(found, text=redact(found.text, secrets)) for found in check.findings
        ],
    )


def _whole(items: Sequence[CheckResult]) -> str:
    for status in (FAILED, UNKNOWN, PASSED):
        if any(item.status == status for item in items):
            return status
    return SKIPPED
