# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One check with its result, evidence and time; and the tally of many."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..common.errors import BackupError, ResilienceError
from ..common.messages import Message, _, join, with_forms
from ..common.safe_text import error_line
from . import equal_texts
from .check_titles import title_of
from .equal_texts import MOST_NAMED
from .findings import Finding, IgnoreRule, reason_for

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# The finding of a check that was cut off, which proves nothing about what it checks.
CUT_OFF = "check.cut_off"
# What PostgreSQL reports of a limit, a lock, missing room, or a server that ends: classes and codes
# of the manual's "PostgreSQL Error Codes".
PLACE_CLASSES, PLACE_CODES = ("08", "53", "57"), ("40P01", "55P03")


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        id: stable, for programs.
        title: English; catalogues translate it.
        status: `passed`, `failed` or `skipped`.
        evidence: what was seen, as text with figures.
        seconds: duration of the check.
        findings: everything that is wrong.
        ignored: findings that the configuration ignores, each with its reason.
    """

    id: str
    title: str
    status: str
    evidence: str
    seconds: float = 0.0
    findings: list[Finding] = dataclasses.field(default_factory=list)
    ignored: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain["seconds"] = round(self.seconds, 3)
        plain["findings"] = [found.to_dict() for found in self.findings]
        return with_forms(plain, "evidence")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a check saw: evidence, and findings if something is wrong.

    Attributes:
        evidence: text with figures.
        findings: a text instead of a `Finding` gets the check's identifier as its kind.
        skipped: the check could not be made, or what was found proves nothing; never counted as
            passed, nor as failed.
    """

    evidence: str
    findings: Sequence[Finding | str] = ()
    skipped: bool = False


def run_check(id: str, function: Callable[[], Evidence], title: str = "") -> CheckResult:
    """Run one check and return its result. A check that raises an error has not passed.

    An error of the environment, such as a time limit on a busy machine, is a finding of its own
    (`CUT_OFF`).

    Args:
        id: of the check.
        function: makes the check.
        title: of a check that `check_titles` does not know.
    """
    started = time.monotonic()
    try:
        evidence = function()
    except Exception as error:  # a failed read never reads as ok
        if is_environment_error(error):
            found = Finding(CUT_OFF, id, error_line(error))
            evidence = Evidence(_("the check was cut off"), [found])
        else:
            found = Finding("check.error", id, error_line(error))
            evidence = Evidence(_("the check raised an error"), [found])
    return conclude(id, evidence, time.monotonic() - started, title)


def is_environment_error(error: Exception) -> bool:
    """Return whether an error says something about the server or the machine, not about the data.

    An error of psycopg2 without a code is one of a connection that ended.
    """
    if isinstance(error, ResilienceError):
        return not isinstance(error, BackupError)
    if not hasattr(error, "pgcode"):
        return isinstance(error, (MemoryError, OSError))
    code = error.pgcode
    if code is None:
        return type(error).__name__ in ("OperationalError", "InterfaceError")
    return str(code).startswith(PLACE_CLASSES) or code in PLACE_CODES


def conclude(id: str, evidence: Evidence, seconds: float, title: str = "") -> CheckResult:
    """Return the result of a check from its evidence.

    Args:
        id, title: as of `run_check`.
        evidence: what the check saw.
        seconds: its duration.
    """
    findings = [
        Finding(id, "", found) if isinstance(found, str) else found for found in evidence.findings
    ]
    text = evidence.evidence
    if findings:
        text = join([text, named_findings(findings)], ": ")
    return CheckResult(id, title or title_of(id), _status(evidence), text, seconds, findings)


def named(texts: Sequence[str], between: str = "; ") -> Message:
    """Return the first few of many texts and the number of the others."""
    first = join(texts[:MOST_NAMED], between)
    if len(texts) <= MOST_NAMED:
        return first
    rest = len(texts) - MOST_NAMED
    return _("%(named)s and %(count)d more", named=first, count=rest)


def named_findings(findings: Sequence[Finding]) -> Message:
    """Return the first few kinds of findings, each once, and the number of the others."""
    kinds = equal_texts.grouped(
        [found.text for found in findings], [found.subject for found in findings]
    )
    first = join([kind.line() for kind in kinds[:MOST_NAMED]], "; ")
    rest = sum(kind.count for kind in kinds[MOST_NAMED:])
    return _("%(named)s and %(count)d more", named=first, count=rest) if rest else first


def without_ignored(check: CheckResult, rules: Sequence[IgnoreRule]) -> CheckResult:
    """Return a result with the ignored findings set apart.

    A check of which nothing else is wrong is skipped, not passed, so that the decision to ignore
    stays visible.

    Args:
        check: the result.
        rules: the findings that the configuration ignores.
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
        evidence = join([named_findings(left), evidence], "; ")
    return dataclasses.replace(
        check,
        status=check.status if left else SKIPPED,
        evidence=evidence,
        findings=left,
        ignored=ignored,
    )


def _status(evidence: Evidence) -> str:
    if evidence.skipped:
        return SKIPPED
    return FAILED if evidence.findings else PASSED


def tally(checks: Sequence[CheckResult]) -> dict[str, Any]:
    """Return `tally_statuses` of these checks."""
    return tally_statuses([check.status for check in checks])


def tally_statuses(statuses: Sequence[str]) -> dict[str, Any]:
    """Return counts by status, and the confidence.

    Returns:
        `passed`, `failed`, `skipped`, and `confidence`: the percentage of checks that passed,
        rounded down to a tenth, so that it is 100 only if nothing was skipped or failed.
    """
    counts = {status: list(statuses).count(status) for status in (PASSED, FAILED, SKIPPED)}
    tenths = 1000 * counts[PASSED] // len(statuses) if statuses else 0
    return {**counts, "confidence": tenths / 10}
