# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `archive`: what a backup file shows before it is restored."""

from __future__ import annotations

from collections.abc import Iterable

from ..backup import archive_whole, backup_digest, expectation
from ..backup.kind import Archive
from ..checks import checks
from ..checks.findings import Finding
from ..common.messages import _, join


def evidence(
    ready: Archive,
    digest: backup_digest.Digest,
    expected: expectation.Expectation,
    lost: Iterable[Finding],
    file: str,
    set_aside: Iterable[str] = (),
) -> checks.Evidence:
    """Return what the check `archive` found in a backup that was decoded whole.

    Args:
        ready: the decoded backup.
        digest: as it was verified.
        expected: what the backup holds; with the manifest's digests if one was applied.
        lost: what the manifest names and the backup lacks.
        file: the backup's name.
        set_aside: newer files that are no backups, in words.
    """
    compared = (
        _("SHA-256 as in %(source)s", source=digest.source)
        if digest.source
        else _("no digest was recorded")
    )
    findings = [*lost, *_left_out(expected, file)]
    if ready.toc.row_security:
        text = _("it was dumped with row-level security on")
        findings.append(Finding("archive.row_security", file, text))
    beside = _("a manifest") if expected.digests else _("no manifest")
    whole = "" if expected.digests else _("only a manifest shows whether all was dumped")
    unknown = ""
    if expected.row_security and not ready.kind.shows_row_security and not expected.digests:
        unknown = _(
            "tables with row-level security: %(count)d; this format does not show whether the"
            " dump lacks rows for it, a manifest would",
            count=len(expected.row_security),
        )
    keyless = ""
    if expected.tables and not expected.digests and not _behind_rows(expected):
        keyless = _(
            "it has no key, index or trigger: only a manifest shows whether --section left any out"
        )
    unlogged = ""
    if expected.unlogged:
        unlogged = _("unlogged tables without their rows: %(count)d", count=len(expected.unlogged))
    parts = [ready.proof, compared, beside, whole, keyless, unlogged, unknown, *set_aside]
    text = join(parts, "; ")
    return checks.Evidence(text, findings)


def _behind_rows(expected: expectation.Expectation) -> bool:
    """Return whether a backup has anything that a dump has behind its rows."""
    return bool(
        expected.indexes
        or expected.foreign_keys
        or expected.triggers
        or expected.rules
        or expected.policies
        or expected.row_security
        or expected.populated_views
    )


def _left_out(expected: expectation.Expectation, file: str) -> list[Finding]:
    """Return which rows and large objects the dump leaves out."""
    tables = sorted(expected.without_rows)
    found = []
    if tables and not any(expected.rows.get(key) for key in expected.tables):
        text = _("it has no rows of any of its %(count)d tables", count=len(tables))
        found.append(Finding("archive.partial", file, text))
    else:
        for name in (".".join(key) for key in tables):
            text = _("the dump leaves out the rows of %(table)s", table=name)
            found.append(Finding("archive.partial", name, text))
    has_tables = expected.tables or expected.materialized_views
    if not has_tables and "STATISTICS DATA" in expected.others:
        text = _("it has statistics of tables, and not the tables")
        found.append(Finding("archive.partial", file, text))
    if expected.large_objects and not set(archive_whole.CONTENTS) & expected.others.keys():
        text = _("the dump leaves out the content of its large objects")
        found.append(Finding("archive.partial", file, text))
    return found
