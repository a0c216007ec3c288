# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check `numbering`: whether an archive lacks relations that its database had.

It is made where neither a manifest nor production shows what the database held, and only where
something is missing: no gap does not prove that an archive is whole.
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
# A composite type of an extension has a relation that is no member itself.
_OF_EXTENSIONS = """
SELECT count(*) FROM pg_class c WHERE c.relkind IN ('r', 'S', 'v', 'c', 'm', 'f', 'p')
 AND EXISTS (SELECT 1 FROM pg_depend d WHERE d.deptype = 'e'
  AND (d.classid, d.objid) IN (('pg_class'::regclass, c.oid), ('pg_type'::regclass, c.reltype)))"""


def evidence(numbers: Numbers, server: Server, database: str, file: str) -> Evidence | None:
    """Return what is missing in an archive by its numbers; None where nothing is.

    Args:
        numbers: of the archive.
        server, database: where it was restored.
        file: the backup's name.
    """
    with contextlib.closing(open_connection(server.dsn(database), read_only=True)) as connection:
        catalogue = Catalogue(connection)
        of_extensions = int(catalogue.rows(_OF_EXTENSIONS)[0][0])
        # Other versions of an extension have a few relations more or less.
        missing = numbers.missing - numbers.composites - 2 * of_extensions
    if missing <= 0:
        return None
    text = ngettext(
        "pg_dump numbered %(count)d relation that is not in the archive: left out by -n, -N, -t or"
        " -T, or a temporary table of that moment",
        "pg_dump numbered %(count)d relations that are not in the archive: left out by -n, -N, -t"
        " or -T, or temporary tables of that moment",
        missing,
    )
    found = Finding("archive.numbers_missing", file, text)
    return Evidence(
        _("only a manifest or production shows whether all was dumped"), [found], skipped=True
    )
