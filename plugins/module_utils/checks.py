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

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# How many findings the evidence names; all of them are in `findings`.
NAMED = 5


@dataclasses.dataclass(frozen=True)
class Check:
    """One question and its result.

    Attributes:
        id: stable, for programs.
        title: for people, English; catalogues translate it.
        status: `passed`, `failed` or `skipped`.
        evidence: what was seen, in words and figures.
        seconds: what asking took.
        findings: everything that is wrong, one a line.
    """

    id: str
    title: str
    status: str
    evidence: str
    seconds: float = 0.0
    findings: list[str] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        return {**dataclasses.asdict(self), "seconds": round(self.seconds, 3)}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a question found: evidence, and findings if something is wrong.

    Attributes:
        skipped: the question could not be asked; never counted as passed.
    """

    evidence: str
    findings: Sequence[str] = ()
    skipped: bool = False


def ask(id: str, title: str, question: Callable[[], Answer]) -> Check:
    """Asks one question. One that breaks off is failed: a failed read never reads as ok."""
    started = time.monotonic()
    try:
        answer = question()
    except Exception as error:  # noqa: BLE001 - whatever broke, it was not answered
        words = " ".join(str(error).split())[:300]
        answer = Answer("could not be asked", [f"{type(error).__name__}: {words}"])
    return conclude(id, title, answer, time.monotonic() - started)


def conclude(id: str, title: str, answer: Answer, seconds: float) -> Check:
    """The check that an answer makes."""
    findings = list(answer.findings)
    evidence = answer.evidence
    if findings:
        more = f" and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
        evidence += ": " + "; ".join(findings[:NAMED]) + more
    return Check(id, title, _status(answer), evidence, seconds, findings)


def _status(answer: Answer) -> str:
    if answer.findings:
        return FAILED
    return SKIPPED if answer.skipped else PASSED


def tally(checks: Sequence[Check]) -> dict[str, Any]:
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
