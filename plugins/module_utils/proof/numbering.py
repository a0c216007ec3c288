# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `numbering`: whether an archive lacks relations that its database had.

It is made where neither a manifest nor production shows what the database held, and only where
something is missing: no gap does not prove that an archive is whole. A gap is a finding only where
no temporary table can be its cause.
"""

from __future__ import annotations

import contextlib

from ..backup.archive_numbers import Numbers
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import _, ngettext
from ..database.catalogue import Catalogue
from ..database.connection import open_connection
from ..database.postgres import Server

CHECK = "numbering"
# A composite type of an extension has a relation that is no member itself. Schemas that extensions
# make have no entry either.
_RELATIONS = """
SELECT count(*) FILTER (WHERE c.oid < 16384), count(*) FILTER (WHERE c.oid >= 16384
 AND EXISTS (SELECT 1 FROM pg_depend d WHERE d.deptype = 'e'
  AND (d.classid, d.objid) IN (('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype))))
 + (SELECT count(*) FROM pg_depend d WHERE d.deptype = 'e' AND d.classid = 'pg_namespace'::regclass)
FROM pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'c', 'm', 'f', 'p')"""
# What has a number behind the relations, and no entry of its own where all else has none.
_WITHOUT_ENTRY = """
SELECT (SELECT count(*) FROM pg_rewrite) + (SELECT count(*) FROM pg_attrdef)
 + (SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0)
 + (SELECT count(*) FROM pg_inherits)"""


def evidence(numbers: Numbers, server: Server, database: str, file: str) -> Evidence | None:
    """Return what is missing in an archive by its numbers; None where nothing is.

    Args:
        numbers: of the archive.
        server, database: where it was restored.
        file: the backup's name.
    """
    dsn = server.dsn(database)
    session = open_connection(dsn, read_only=True, settings={"search_path": "pg_catalog"})
    with contextlib.closing(session) as connection:
        of_system, of_extensions = map(int, Catalogue(connection).rows(_RELATIONS)[0])
        (without_entry,) = map(int, Catalogue(connection).rows(_WITHOUT_ENTRY)[0])
        same_major = numbers.major == connection.server_version // 10000
    before = numbers.before - of_system if same_major else 0
    proved = _proved(numbers, before, of_extensions) if same_major else 0
    if proved:
        text = ngettext(
            "pg_dump numbered %(count)d schema or relation that is not in the archive: it was left"
            " out by -n, -N, -t or -T",
            "pg_dump numbered %(count)d schemas and relations that are not in the archive: they"
            " were left out by -n, -N, -t or -T",
            proved,
        )
        return _left_out(Finding("archive.numbers_missing", file, text))
    behind = numbers.behind - (without_entry - numbers.of_columns)
    # A temporary view of some session has a rule. A table has a key, which counts twice.
    if same_major and not of_extensions and behind > (numbers.tables if before else 0):
        text = ngettext(
            "pg_dump numbered %(count)d key, index, trigger or rule, and the archive has none: it"
            " was left out by --section",
            "pg_dump numbered %(count)d keys, indexes, triggers and rules, and the archive has"
            " none: they were left out by --section",
            behind,
        )
        return _left_out(Finding("archive.section_missing", file, text))
    missing = numbers.missing - of_extensions
    if before > 0 and before % 2 and not of_extensions:
        missing = max(missing, 1)
    if missing <= 0:
        return None
    text = ngettext(
        "pg_dump numbered %(count)d object that is not in the archive: left out by -n, -N, -t or"
        " -T, a temporary table of that moment, or of an extension; only a manifest or production"
        " shows which",
        "pg_dump numbered %(count)d objects that are not in the archive: left out by -n, -N, -t"
        " or -T, temporary tables of that moment, or of an extension; only a manifest or production"
        " shows which",
        missing,
    )
    return Evidence(text, skipped=True)


def _left_out(found: Finding) -> Evidence:
    text = _("only a manifest or production shows whether all was dumped")
    return Evidence(text, [found], skipped=True)


def _proved(numbers: Numbers, before: int, of_extensions: int) -> int:
    """Return how many schemas and relations were left out for certain, at least.

    Args:
        numbers: of the archive.
        before: numbers before the first relation that nothing in the archive accounts for: pairs
            of schemas for temporary tables, schemas and relations that were left out, and relations
            of extensions.
        of_extensions: relations and schemas of extensions in the restored database.
    """
    # Where `public` or plpgsql was dropped, there is a number less. Where nothing shows that
    # `public` is there, an odd number may be that.
    if before <= 0:  # nobody ever had a temporary table
        return max(0, numbers.missing - of_extensions)
    return 1 if numbers.has_public and before % 2 and not of_extensions else 0
