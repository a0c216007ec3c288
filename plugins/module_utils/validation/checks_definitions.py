# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the definitions of all objects with those in production when the backup was taken."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.checks import Evidence, named
from ..checks.findings import Finding
from ..common.messages import Message, _, join
from ..common.safe_text import one_line
from ..database import structure, structure_details
from ..database.structure import Difference
from . import checks_access
from .check_context import CheckContext

# Characters of a definition that a finding shows.
SHOWN = 300
# What staging may have more: its own check of indexes, and what a server's template brings.
ADDED = {
    (kind, name)
    for kind in ("extension", "extension's schema", "comment of extension")
    for name in ("amcheck", "plpgsql")
} | {("comment of schema public", "public")}


def definitions(context: CheckContext) -> Evidence:
    """Every object is defined as it was in production."""
    before = context.production
    differing = context.differences
    not_dumped = {one for one in differing if _not_dumped(one)}
    if _has_unpopulated_view(before):
        # One that was populated over one without data is not refreshed by a restore
        # (buildMatViewRefreshDependencies in pg_dump.c).
        state, empty = structure_details.VIEW_STATE, structure_details.UNPOPULATED
        not_dumped |= {one for one in differing if (one.kind, one.after) == (state, empty)}
    their_comments = {f"index {'.'.join(_parts(one))}" for one in not_dumped}
    findings = [
        _finding(one)
        for one in differing
        if not (
            one in not_dumped
            or _harmless(one)
            or (one.kind == "comment" and one.after is None and one.name in their_comments)
        )
    ]
    findings += checks_access.findings(context)
    count = sum(
        len(objects)
        for identifier in before.schemas.values()
        for objects in before.shapes[identifier].values()
    )
    if not context.same_major:
        made = context.expected.digest_version.split(".")[0]
        here = str(context.catalogue.connection.server_version // 10000)
        evidence: Message = _(
            "%(count)d objects compared by name: PostgreSQL %(made)s and %(here)s write definitions"
            " differently",
            count=count,
            made=made,
            here=here,
        )
    else:
        evidence = _("%(count)d definitions compared with those in the manifest", count=count)
    unread = sorted(
        name for (name,) in context.schemas if name in before.unread - {*before.schemas}
    )
    if unread:
        so = _(
            "not compared, as they could not be read in production: %(named)s", named=named(unread)
        )
        evidence = join([evidence, so], "; ")
    return Evidence(evidence, findings)


def _has_unpopulated_view(held: structure.Structure) -> bool:
    return any(
        structure_details.UNPOPULATED
        in held.shapes[identifier].get(structure_details.VIEW_STATE, {}).values()
        for identifier in held.schemas.values()
    )


def _harmless(difference: Difference) -> bool:
    return difference.before is None and (difference.kind, difference.name) in ADDED


def _not_dumped(difference: Difference) -> bool:
    """Return whether it is an index that is missing because production's was not valid.

    A CREATE INDEX CONCURRENTLY that failed leaves one, and pg_dump leaves it out; but not that of
    a partitioned table, whose partitions lack their own (getIndexes in pg_dump.c).
    """
    before = difference.before or ""
    return (
        difference.kind == "index"
        and difference.after is None
        and before.endswith(structure.INVALID)
        and " ON ONLY " not in before
    )


def _finding(difference: Difference) -> Finding:
    name = ".".join(_parts(difference))
    what = f"{difference.kind} {name}"
    if difference.after is None:
        text: Message = _("%(what)s is missing", what=what)
        return Finding("definition.missing", name, text)
    if difference.before is None:
        text = _("%(what)s is not in the manifest", what=what)
        return Finding("definition.unexpected", name, text)
    before, after = (one_line(text, None) for text in (difference.before, difference.after))
    text = _(
        "%(what)s is `%(found)s`, in production it was `%(expected)s`",
        what=what,
        found=_shown(after, before),
        expected=_shown(before, after),
    )
    return Finding("definition.differs", name, text)


def _parts(difference: Difference) -> Iterator[str]:
    if difference.schema:
        yield difference.schema
    if difference.name:
        yield difference.name


def _shown(text: str, other: str) -> str:
    """Return a definition, cut to the part where it differs from another one."""
    if len(text) <= SHOWN:
        return text
    same = next(
        (at for at, pair in enumerate(zip(text, other)) if pair[0] != pair[1]),
        min(len(text), len(other)),
    )
    start = max(0, same - SHOWN // 3)
    return ("…" if start else "") + text[start : start + SHOWN] + "…"
