# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about structure: is everything there that the backup's table of contents names?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import _, join, ngettext
from ..database.catalogue import ObjectName
from . import tenant_matrix
from .check_context import CheckContext, compared, dotted, joined


def schemas(asker: CheckContext) -> Evidence:
    """Every schema of the backup, and no other."""
    wanted: set[ObjectName] = {(name,) for name in asker.wanted.schema_names()}
    extra = asker.schemas - wanted - {("public",)}
    return compared(
        _("schemas"),
        "schema.missing",
        wanted,
        asker.schemas,
        unexpected="schema.unexpected",
        extra=extra,
    )


def tenants(asker: CheckContext) -> Evidence:
    """Every store that is listed has its schema, and the reverse."""
    if not asker.settings.tenant_query:
        return Evidence(_("no query for the stores is configured (tenant_query)"), skipped=True)
    stores = asker.stores
    listed = [str(row[0]) for row in asker.catalogue.rows(asker.settings.tenant_query)]
    findings = [
        *(
            Finding(
                "store.schema_missing",
                name,
                _("%(store)s is listed but has no schema", store=name),
            )
            for name in sorted(set(listed) - set(stores))
        ),
        *(
            Finding(
                "store.not_listed",
                name,
                _("%(store)s has a schema but is not listed", store=name),
            )
            for name in sorted(set(stores) - {*listed})
        ),
        *(
            Finding(
                "store.listed_twice",
                name,
                _("%(store)s is listed %(times)d times", store=name, times=count),
            )
            for name, count in sorted(Counter(listed).items())
            if count > 1
        ),
    ]
    if not listed:
        findings.append(Finding("store.none_listed", "", _("no store is listed")))
    evidence = _(
        "stores listed: %(listed)d, schemas of stores: %(schemas)d",
        listed=len(listed),
        schemas=len(stores),
    )
    return Evidence(evidence, findings)


def tenant_structure(asker: CheckContext) -> Evidence:
    """Every store has the tables, columns, indexes and keys that most stores have."""
    stores = asker.stores
    if len(stores) < 3:
        few = _("stores: %(count)d; fewer than three cannot be compared", count=len(stores))
        return Evidence(few)
    findings = tenant_matrix.compare(asker.catalogue, stores)
    differing = {found.subject.split(".")[0] for found in findings}
    evidence = _(
        "%(found)d/%(wanted)d stores alike",
        found=len(stores) - len(differing),
        wanted=len(stores),
    )
    return Evidence(evidence, findings)


def tables(asker: CheckContext) -> Evidence:
    """Every table of the backup, and no other."""
    wanted = asker.wanted.tables
    return compared(
        _("tables"),
        "table.missing",
        wanted,
        asker.tables,
        unexpected="table.unexpected",
        extra=asker.tables - wanted,
    )


def columns(asker: CheckContext) -> Evidence:
    """Every column with its type, NOT NULL and default, as the backup's CREATE TABLE has it."""
    found, own = {}, {}
    defaults = set()
    for schema, table, column, kind, not_null, has_default, is_own in asker.catalogue.columns():
        found[schema, table, column] = (kind, not_null)
        own[schema, table, column] = is_own
        if has_default:
            defaults.add((schema, table, column))
    findings, described, good = [], set(), 0
    for schema, table, column, kind, not_null in sorted(asker.wanted.columns):
        key = (schema, table, column)
        described.add((schema, table))
        there = found.get(key)
        if (schema, table) not in asker.tables:
            continue  # told as a missing table
        if there is None:
            findings.append(
                _column("column.missing", key, _("%(what)s is missing", what=dotted(key)))
            )
        elif there[0] != kind:
            text = _(
                "%(column)s is %(found)s instead of %(wanted)s",
                column=dotted(key),
                found=there[0],
                wanted=kind,
            )
            findings.append(_column("column.differs", key, text))
        elif not_null and not there[1]:
            text = _("%(column)s may be null, in the backup it may not", column=dotted(key))
            findings.append(_column("column.differs", key, text))
        elif key in asker.wanted.defaults and key not in defaults:
            text = _("%(column)s has no default, in the backup it has", column=dotted(key))
            findings.append(_column("column.differs", key, text))
        else:
            good += 1
    known = {column[:3] for column in asker.wanted.columns}
    for key in sorted(set(found) - known):
        # An inherited column is described at its parent; a typed table's columns at the type.
        if key[:2] in described and own[key]:
            findings.append(
                _column(
                    "column.unexpected",
                    key,
                    _("%(what)s is not in the backup", what=dotted(key)),
                )
            )
    evidence = _("%(found)d/%(wanted)d columns", found=good, wanted=len(asker.wanted.columns))
    return Evidence(evidence, findings)


def _column(kind: str, key: ObjectName, text: str) -> Finding:
    return Finding(kind, dotted(key), text)


def primary_keys(asker: CheckContext) -> Evidence:
    """Every primary key."""
    found = asker.catalogue.constraints("p")
    return compared(_("primary keys"), "primary_key.missing", asker.wanted.primary_keys, found)


def foreign_keys(asker: CheckContext) -> Evidence:
    """Every foreign key."""
    wanted = asker.wanted.foreign_keys
    found = {tuple(row[:3]): row[5] for row in asker.foreign_keys}
    not_valid = [key for key in wanted if found.get(key) is False]
    answer = compared(_("foreign keys"), "foreign_key.missing", wanted, found)
    if not not_valid:
        return answer
    noted = _("%(count)d of them NOT VALID, as dumped", count=len(not_valid))
    return dataclasses.replace(answer, evidence=join([answer.evidence, noted]))


def indexes(asker: CheckContext) -> Evidence:
    """Every index, valid, ready and live."""
    unusable = [
        Finding("index.invalid", dotted(key), _("%(index)s is not valid", index=dotted(key)))
        for key in sorted(asker.wanted.indexes)
        if asker.indexes.get(key) is False
    ]
    answer = compared(_("indexes"), "index.missing", asker.wanted.indexes, asker.indexes)
    return dataclasses.replace(answer, findings=[*answer.findings, *unusable])


def unique_constraints(asker: CheckContext) -> Evidence:
    """Every unique constraint."""
    wanted = asker.wanted.unique_constraints
    return compared(_("unique constraints"), "unique.missing", wanted, asker.unique)


def other_constraints(asker: CheckContext) -> Evidence:
    """Every check constraint, those inside CREATE TABLE among them, and every exclusion."""
    wanted = asker.wanted.check_constraints | asker.wanted.exclusions
    found = asker.catalogue.constraints("cx")
    return compared(_("constraints"), "constraint.missing", wanted, found)


def routines(asker: CheckContext) -> Evidence:
    """Functions with all their forms, types, extensions."""
    # Overloads are counted.
    wanted = Counter((schema, name) for schema, name, _signature in asker.wanted.functions)
    found = asker.catalogue.functions()
    findings = [
        Finding(
            "function.missing",
            dotted(key),
            _(
                "%(function)s has %(found)d of %(wanted)d forms",
                function=dotted(key),
                found=found.get(key, 0),
                wanted=count,
            ),
        )
        for key, count in sorted(wanted.items())
        if found.get(key, 0) < count
    ]
    return joined(
        [
            Evidence(
                ngettext("%(count)d function", "%(count)d functions", len(asker.wanted.functions)),
                findings,
            ),
            compared(_("types"), "type.missing", asker.wanted.types, asker.catalogue.types()),
            compared(
                _("extensions"),
                "extension.missing",
                asker.wanted.extensions,
                asker.catalogue.extensions(),
            ),
        ]
    )


def table_rules(asker: CheckContext) -> Evidence:
    """Triggers, rules and policies, and whether they are in force."""
    wanted, catalogue = asker.wanted, asker.catalogue
    triggers = catalogue.on_tables("triggers")
    answer = joined(
        [
            compared(_("triggers"), "trigger.missing", wanted.triggers, triggers),
            compared(_("rules"), "rule.missing", wanted.rules, catalogue.on_tables("rules")),
            compared(
                _("policies"), "policy.missing", wanted.policies, catalogue.on_tables("policies")
            ),
        ]
    )
    off = catalogue.disabled_triggers() & wanted.triggers - wanted.disabled_triggers
    open_tables = (wanted.row_security & asker.tables) - catalogue.row_security()
    findings = [
        *(
            Finding(
                "trigger.disabled",
                dotted(key),
                _("%(trigger)s is switched off", trigger=dotted(key)),
            )
            for key in sorted(off)
        ),
        *(
            Finding(
                "policy.not_enforced",
                dotted(key),
                _("%(table)s has its row-level security switched off", table=dotted(key)),
            )
            for key in sorted(open_tables)
        ),
    ]
    return dataclasses.replace(answer, findings=[*answer.findings, *findings])


def encoding(asker: CheckContext) -> Evidence:
    """The encoding is the backup's."""
    found = str(asker.catalogue.rows("SHOW server_encoding")[0][0])
    wanted = asker.wanted.encoding
    if wanted is None:
        return Evidence(
            _("%(encoding)s; the backup does not name one", encoding=found), skipped=True
        )
    if found.upper() == wanted.upper():
        return Evidence(found)
    text = _("%(found)s instead of %(wanted)s", found=found, wanted=wanted)
    return Evidence(_("encoding"), [Finding("encoding.differs", found, text)])


_COLLATIONS = """
SELECT '', datcollversion, pg_database_collation_actual_version(oid)
FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT n.nspname || '.' || c.collname, c.collversion, pg_collation_actual_version(c.oid)
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL"""


def collation(asker: CheckContext) -> Evidence:
    """Text is sorted as it was when the indexes were built (PostgreSQL 15 and newer tell)."""
    if asker.catalogue.connection.server_version < 150000:
        return Evidence(_("PostgreSQL tells this since version 15"), skipped=True)
    found = asker.catalogue.rows(_COLLATIONS)
    findings = [
        Finding(
            "collation.version_differs",
            name or "the database",
            _(
                "%(collation)s was made with version %(recorded)s, here it is %(actual)s",
                collation=name or _("the database"),
                recorded=recorded,
                actual=actual,
            ),
        )
        for name, recorded, actual in found
        if recorded is not None and recorded != actual
    ]
    doubts = _unlike_production(asker)
    if doubts and not findings:
        return Evidence(_("collations: %(count)d", count=len(found)), doubts, skipped=True)
    version = found[0][1] or _("no version, so nothing can differ")
    evidence = _(
        "collations: %(count)d; the database's: %(version)s", count=len(found), version=version
    )
    return Evidence(evidence, findings)


_LOCALE = """
SELECT datcollate, datctype, datlocprovider::text, coalesce(datcollversion, '')
FROM pg_database WHERE datname = current_database()"""


def _unlike_production(asker: CheckContext) -> list[Finding]:
    """In what the restored database sorts otherwise than the one that was dumped.

    That proves nothing against the backup, but its sort order was not seen here.
    """
    wanted = asker.wanted.locale
    names = ("collate", "ctype", "provider", "version")
    here = dict(zip(names, asker.catalogue.rows(_LOCALE)[0], strict=True))
    differing = [name for name in names if name in wanted and wanted[name] != here[name]]
    if not differing:
        return []
    text = _(
        "text was sorted by %(wanted)s, here it is by %(found)s",
        wanted=_sorting(wanted, here),
        found=_sorting(here, here),
    )
    return [Finding("collation.unlike_production", "", text)]


def _sorting(locale: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Locale and version, for people; what a dump does not tell is taken to be as here."""
    version = locale.get("version", here["version"]) or _("of no version")
    return join([locale.get("collate", ""), version], " ")
