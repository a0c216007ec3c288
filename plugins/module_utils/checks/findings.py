# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: what a check found wrong, and which findings a configuration ignores.

The identifier of a kind never changes its meaning, because people ignore findings by it.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError, known_names
from ..common.messages import with_forms
from .finding_kinds import KINDS


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        id: of its kind, one of `KINDS`.
        subject: what it is about: `tenant_x.products`, a role, a file.
        text: for people; a `Message` is translated on pages.
    """

    id: str
    subject: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON and Ansible."""
        plain = {"id": self.id, "subject": self.subject, "text": self.text}
        return with_forms(plain, "text")


@dataclasses.dataclass(frozen=True)
class IgnoreRule:
    """A rule of the configuration that ignores findings.

    Attributes:
        finding: identifier of the kind; `*` and `?` stand for anything.
        reason: for the readers of the report.
        subject: of the findings; `*` and `?` stand for anything.
    """

    finding: str
    reason: str
    subject: str = "*"

    def covers(self, found: Finding) -> bool:
        """Return whether the rule ignores a finding."""
        return fnmatch.fnmatchcase(found.id, self.finding) and fnmatch.fnmatchcase(
            found.subject, self.subject
        )


def ignore_rules(values: Sequence[Mapping[str, Any]]) -> list[IgnoreRule]:
    """Return the rules of a configuration that ignore findings.

    Raises:
        ResilienceError: a rule has no reason, an unknown key, or an unknown identifier.
    """
    return [_ignore_rule(number, value) for number, value in enumerate(values)]


def _ignore_rule(number: int, value: Mapping[str, Any]) -> IgnoreRule:
    option = f"ignore_findings[{number}]"
    unknown = sorted(set(value) - {"finding", "reason", "subject"})
    if unknown:
        raise ResilienceError(
            f"an ignored finding has an unknown key {unknown[0]!r}",
            option=option,
            value=value,
            remedy="known keys: finding, subject, reason",
        )
    identifier, reason = str(value.get("finding", "")), str(value.get("reason", "")).strip()
    if not fnmatch.filter(KINDS, identifier):
        raise ResilienceError(
            "no finding has this identifier",
            option=f"{option}.finding",
            value=identifier,
            remedy=known_names(identifier, KINDS, "docs/findings.md lists them all"),
        )
    if len(reason) < 10:
        raise ResilienceError(
            "a finding cannot be ignored without a reason",
            option=f"{option}.reason",
            value=reason,
            remedy="write why it may be lived with, ten characters at least",
        )
    return IgnoreRule(identifier, reason, str(value.get("subject", "*")))


def reason_for(found: Finding, rules: Sequence[IgnoreRule]) -> str | None:
    """Return the reason why a finding is ignored; None if it is not."""
    return next((rule.reason for rule in rules if rule.covers(found)), None)


_ROLE = re.compile(r'role "((?:[^"]|"")+)" does not exist')
_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available'
    r'|could not open extension control file ".*/([^/"]+)\.control"'
)


def of_restore_error(message: str) -> Finding:
    """Return the finding for an error of a restore: a missing role or extension, or another."""
    if role := _ROLE.search(message):
        return Finding("restore.role_missing", role[1], message)
    if extension := _EXTENSION.search(message):
        return Finding("restore.extension_missing", extension[1] or extension[2], message)
    return Finding("restore.error", "", message)
