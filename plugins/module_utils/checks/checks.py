# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check: one question with a result, its evidence and its time; and what many of them come to."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..common.messages import Message, _, join, with_forms
from ..common.safe_text import error_line
from .findings import Finding, Ignored, reason_for

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# How many findings the evidence names; all of them are in `findings`.
NAMED = 5


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """One question and its result.

    Attributes:
        id: stable, for programs.
        title: for people, English; catalogues translate it.
        status: `passed`, `failed` or `skipped`.
        evidence: what was seen, in words and figures.
        seconds: what asking took.
        findings: everything that is wrong.
        ignored: what is wrong too, but ignored by the configuration: each with its reason.
    """

    id: str
    title: str
    status: str
    evidence: str
    seconds: float = 0.0
    findings: list[Finding] = dataclasses.field(default_factory=list)
    ignored: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["seconds"] = round(self.seconds, 3)
        plain["findings"] = [found.to_dict() for found in self.findings]
        return with_forms(plain, "evidence")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a question found: evidence, and findings if something is wrong.

    Attributes:
        findings: a finding of no kind of its own, in words, bears the check's identifier.
        skipped: the question could not be asked, or what was found proves nothing; never counted
            as passed, nor as failed.
    """

    evidence: str
    findings: Sequence[Finding | str] = ()
    skipped: bool = False


def run_check(id: str, title: str, question: Callable[[], Evidence]) -> CheckResult:
    """Asks one question. One that breaks off is failed: a failed read never reads as ok."""
    started = time.monotonic()
    try:
        answer = question()
    except Exception as error:  # whatever broke, it was not answered
        found = Finding("check.broke_off", id, error_line(error))
        answer = Evidence(_("could not be asked"), [found])
    return conclude(id, title, answer, time.monotonic() - started)


def conclude(id: str, title: str, answer: Evidence, seconds: float) -> CheckResult:
    """The check that an answer makes."""
    findings = [
        Finding(id, "", found) if isinstance(found, str) else found for found in answer.findings
    ]
    evidence = answer.evidence
    if findings:
        evidence = join([evidence, named([found.text for found in findings])], ": ")
    return CheckResult(id, title, _status(answer), evidence, seconds, findings)


def named(texts: Sequence[str], between: str = "; ") -> Message:
    """The first few of many texts, and how many more there are."""
    first = join(texts[:NAMED], between)
    if len(texts) <= NAMED:
        return first
    rest = len(texts) - NAMED
    return _("%(named)s and %(count)d more", named=first, count=rest)


def without_ignored(check: CheckResult, rules: Sequence[Ignored]) -> CheckResult:
    """The check once the ignored findings are set apart.

    A check of which nothing else is wrong is skipped, not passed: somebody decided not to ask, and
    that stays visible.

    Args:
        check: as it was answered.
        rules: what is ignored.
    """
    reasons = [(found, reason_for(found, rules)) for found in check.findings]
    if not any(reason for _found, reason in reasons):
        return check
    left = [found for found, reason in reasons if reason is None]
    ignored = [{**found.to_dict(), "reason": reason} for found, reason in reasons if reason]
    texts = [
        _("%(finding)s (%(reason)s)", finding=found.text, reason=reason)
        for found, reason in reasons
        if reason
    ]
    evidence = _("ignored: %(findings)s", findings=named(texts))
    if left:
        evidence = join([named([found.text for found in left]), evidence], "; ")
    return dataclasses.replace(
        check,
        status=check.status if left else SKIPPED,
        evidence=evidence,
        findings=left,
        ignored=ignored,
    )


def _status(answer: Evidence) -> str:
    if answer.skipped:
        return SKIPPED
    return FAILED if answer.findings else PASSED


def tally(checks: Sequence[CheckResult]) -> dict[str, Any]:
    """`tally_statuses` of these checks."""
    return tally_statuses([check.status for check in checks])


def tally_statuses(statuses: Sequence[str]) -> dict[str, Any]:
    """Counts by status, and the confidence.

    Returns:
        `passed`, `failed`, `skipped`, and `confidence`: the share of checks that passed, percent,
        rounded down to a tenth, so that it is 100 only if nothing was skipped or failed.
    """
    counts = {status: list(statuses).count(status) for status in (PASSED, FAILED, SKIPPED)}
    tenths = 1000 * counts[PASSED] // len(statuses) if statuses else 0
    return {**counts, "confidence": tenths / 10}
