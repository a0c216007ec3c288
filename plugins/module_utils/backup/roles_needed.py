# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles that a dump names. A dump does not contain them: `pg_dumpall --roles-only` does."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from ..common.messages import _, join
from .archive_entry import Entry
from .identifiers import unquoted

_NAME = r'"(?:[^"]|"")+"|[^\s,;()"]+'
_GRANTED = re.compile(rf"\bTO (?:GROUP )?({_NAME})")
_POLICY = re.compile(rf"\bTO ((?:{_NAME})(?:, (?:{_NAME}))*)(?=\s+(?:USING|WITH)\b|;|$)")
_MAPPED = re.compile(rf"\bUSER MAPPING FOR ({_NAME})")
_PUBLIC = {"PUBLIC", "public", "CURRENT_USER", "SESSION_USER"}


@dataclasses.dataclass(frozen=True)
class RolesNeeded:
    """Roles by what needs them.

    Attributes:
        owners: own something; without them everything belongs to the restoring role. The roles of
            user mappings count as owners, too.
        grantees: were granted something; a restore into staging leaves privileges out.
        policies: named by row-level security policies, which cannot be made without them.
    """

    owners: frozenset[str]
    grantees: frozenset[str]
    policies: frozenset[str]

    def missing(self, there: Iterable[str]) -> RolesNeeded:
        """Return those that are not among the existing roles."""
        known = frozenset(there)
        return RolesNeeded(self.owners - known, self.grantees - known, self.policies - known)

    def in_words(self) -> str:
        """Return a text for the evidence; empty without any role."""
        named = (
            (_("needed by policies"), self.policies),
            (_("owning (harmless, left out)"), self.owners),
            (_("granted privileges (harmless, left out)"), self.grantees),
        )
        parts = [join([why, ", ".join(sorted(roles))], ": ") for why, roles in named if roles]
        if not parts:
            return ""
        return _("roles not in staging, %(roles)s", roles=join(parts, "; "))


def read(entries: Iterable[Entry]) -> RolesNeeded:
    """Return the roles that a table of contents names."""
    owners: set[str] = set()
    grantees: set[str] = set()
    policies: set[str] = set()
    for entry in entries:
        if entry.owner:
            owners.add(entry.owner)
        if entry.kind in ("ACL", "DEFAULT ACL"):
            grantees.update(unquoted(name) for name in _GRANTED.findall(entry.definition))
        elif entry.kind == "USER MAPPING":
            owners.update(unquoted(name) for name in _MAPPED.findall(entry.definition))
        elif entry.kind == "POLICY" and (found := _POLICY.search(entry.definition)):
            policies.update(unquoted(name) for name in re.findall(_NAME, found[1]))
    return RolesNeeded(
        frozenset(owners - _PUBLIC), frozenset(grantees - _PUBLIC), frozenset(policies - _PUBLIC)
    )
