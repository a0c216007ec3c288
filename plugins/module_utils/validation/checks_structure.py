# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of structure: does everything exist that the backup's table of contents names?"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

from ..backup import database_locale
from ..checks import checks
from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _, join, ngettext
from ..database.catalogue import ObjectName
from . import tenant_matrix
from .check_context import CheckContext, combined_evidence, dotted_name, presence_evidence


def schemas(context: CheckContext) -> Evidence:
    """Every schema of the backup, and no other."""
    expected: set[ObjectName] = {(name,) for name in context.expected.schema_names()}
    extra = context.schemas - expected - {("public",)}
    return presence_evidence(
        _("schemas"),
        "schema.missing",
        expected,
        context.schemas,
        unexpected="schema.unexpected",
        extra=extra,
    )


def tenants(context: CheckContext) -> Evidence:
    """Every tenant that is listed has its schema, and the reverse."""
    if not context.settings.tenant_query:
        missing = _("no query for the tenants is configured (resilience_tenants)")
        return Evidence(missing, skipped=True)
    tenants = context.tenants
    listed = [str(row[0]) for row in context.catalogue.rows(context.settings.tenant_query)]
    findings = [
        *(
            Finding(
                "tenant.schema_missing",
                name,
                _("%(tenant)s is listed but has no schema", tenant=name),
            )
            for name in sorted(set(listed) - set(tenants))
        ),
        *(
            Finding(
                "tenant.not_listed",
                name,
                _("%(tenant)s has a schema but is not listed", tenant=name),
            )
            for name in sorted(set(tenants) - {*listed})
        ),
        *(
            Finding(
                "tenant.listed_twice",
                name,
                _("%(tenant)s is listed %(times)d times", tenant=name, times=count),
            )
            for name, count in sorted(Counter(listed).items())
            if count > 1
        ),
    ]
    if not listed and (tenants or not context.expected.structure):
        findings.append(Finding("tenant.none_listed", "", _("no tenant is listed")))
    evidence = _(
        "tenants listed: %(listed)d, schemas of tenants: %(schemas)d",
        listed=len(listed),
        schemas=len(tenants),
    )
    return Evidence(evidence, findings)


def tenant_structure(context: CheckContext) -> Evidence:
    """Every tenant has the tables, columns, indexes and keys that most tenants have."""
    tenants = context.tenants
    if len(tenants) < 3:
        few = _("tenants: %(count)d; fewer than three cannot be compared", count=len(tenants))
        return Evidence(few)
    found = tenant_matrix.compare(context.catalogue, tenants)
    known = frozenset(tenants)
    differing = {tenant_matrix.tenant_of(one, known) for one in found}
    evidence: Message = _(
        "%(found)d/%(expected)d tenants alike",
        found=len(tenants) - len(differing),
        expected=len(tenants),
    )
    if not found or not context.expected.structure:
        return Evidence(evidence, found)
    # Where a tenant is as production had it, its release is another one, and the backup whole.
    changed = {one.schema for one in context.differences}
    findings = [one for one in found if tenant_matrix.tenant_of(one, known) in changed]
    as_before = [one.text for one in found if tenant_matrix.tenant_of(one, known) not in changed]
    if as_before:
        so = _("in production, too: %(named)s", named=checks.named(as_before))
        evidence = join([evidence, so], "; ")
    return Evidence(evidence, findings)


def tables(context: CheckContext) -> Evidence:
    """Every table of the backup, and no other."""
    expected = context.expected.tables
    return presence_evidence(
        _("tables"),
        "table.missing",
        expected,
        context.tables,
        unexpected="table.unexpected",
        extra=context.tables - expected,
    )


def columns(context: CheckContext) -> Evidence:
    """Every column that the backup has values for, and no other in the same tables.

    Generated columns have no values in a backup. How columns are defined only a manifest knows.
    """
    found = context.catalogue.columns()
    count, missing, extra = 0, set(), set()
    for table, names in context.expected.columns.items():
        if table not in context.tables:
            continue
        count += len(names)
        here = dict(found.get(table, ()))
        missing |= {(*table, name) for name in names if name not in here}
        extra |= {
            (*table, name)
            for name, is_generated in here.items()
            if name not in names and not is_generated
        }
    return presence_evidence(
        _("columns"),
        "column.missing",
        missing,
        (),
        unexpected="column.unexpected",
        extra=extra,
        present=count - len(missing),
    )


def primary_keys(context: CheckContext) -> Evidence:
    """Every primary key."""
    expected = context.expected.primary_keys
    return presence_evidence(_("primary keys"), "primary_key.missing", expected, context.keys)


def foreign_keys(context: CheckContext) -> Evidence:
    """Every foreign key."""
    expected = context.expected.foreign_keys
    found: dict[ObjectName, bool] = {key[:3]: key.validated for key in context.foreign_keys}
    not_valid = [key for key in expected if found.get(key) is False]
    presence = presence_evidence(_("foreign keys"), "foreign_key.missing", expected, found)
    if not not_valid:
        return presence
    noted = _("%(count)d of them NOT VALID, as dumped", count=len(not_valid))
    return dataclasses.replace(presence, evidence=join([presence.evidence, noted]))


def indexes(context: CheckContext) -> Evidence:
    """Every index, valid, ready and live."""
    unusable = [
        Finding(
            "index.invalid", dotted_name(key), _("%(index)s is not valid", index=dotted_name(key))
        )
        for key in sorted(context.expected.indexes)
        if context.indexes.get(key) is False
    ]
    presence = presence_evidence(
        _("indexes"), "index.missing", context.expected.indexes, context.indexes
    )
    return dataclasses.replace(presence, findings=[*presence.findings, *unusable])


def unique_constraints(context: CheckContext) -> Evidence:
    """Every unique constraint."""
    expected = context.expected.unique_constraints
    return presence_evidence(_("unique constraints"), "unique.missing", expected, context.keys)


def other_constraints(context: CheckContext) -> Evidence:
    """Every check and exclusion constraint that the backup has an entry for."""
    expected = context.expected.check_constraints | context.expected.exclusions
    found = {*context.catalogue.constraints("cn"), *context.keys}
    return presence_evidence(_("constraints"), "constraint.missing", expected, found)


def routines(context: CheckContext) -> Evidence:
    """Functions with all their forms, types, extensions."""
    # Overloads are counted.
    expected = Counter((schema, name) for schema, name, _signature in context.expected.functions)
    found = context.catalogue.functions()
    findings = [
        Finding(
            "function.missing",
            dotted_name(key),
            _(
                "%(function)s has %(found)d of %(expected)d forms",
                function=dotted_name(key),
                found=found.get(key, 0),
                expected=count,
            ),
        )
        for key, count in sorted(expected.items())
        if found.get(key, 0) < count
    ]
    return combined_evidence(
        [
            Evidence(
                ngettext(
                    "%(count)d function", "%(count)d functions", len(context.expected.functions)
                ),
                findings,
            ),
            presence_evidence(
                _("types"), "type.missing", context.expected.types, context.catalogue.types()
            ),
            presence_evidence(
                _("extensions"),
                "extension.missing",
                context.expected.extensions,
                context.catalogue.extensions(),
            ),
        ]
    )


def table_rules(context: CheckContext) -> Evidence:
    """Triggers, rules and policies, and whether they are in force."""
    expected, catalogue = context.expected, context.catalogue
    triggers = catalogue.on_tables("triggers")
    presence = combined_evidence(
        [
            presence_evidence(_("triggers"), "trigger.missing", expected.triggers, triggers),
            presence_evidence(
                _("rules"), "rule.missing", expected.rules, catalogue.on_tables("rules")
            ),
            presence_evidence(
                _("policies"), "policy.missing", expected.policies, catalogue.on_tables("policies")
            ),
        ]
    )
    off = catalogue.disabled_triggers() & expected.triggers - expected.disabled_triggers
    open_tables = (expected.row_security & context.tables) - catalogue.row_security()
    findings = [
        *(
            Finding(
                "trigger.disabled",
                dotted_name(key),
                _("%(trigger)s is switched off", trigger=dotted_name(key)),
            )
            for key in sorted(off)
        ),
        *(
            Finding(
                "policy.not_enforced",
                dotted_name(key),
                _("%(table)s has its row-level security switched off", table=dotted_name(key)),
            )
            for key in sorted(open_tables)
        ),
    ]
    return dataclasses.replace(presence, findings=[*presence.findings, *findings])


def encoding(context: CheckContext) -> Evidence:
    """The encoding is the backup's."""
    found = str(context.catalogue.rows("SHOW server_encoding")[0][0])
    expected = context.expected.encoding
    if expected is None:
        return Evidence(
            _("%(encoding)s; the backup does not name one", encoding=found), skipped=True
        )
    if found.upper() == expected.upper():
        return Evidence(found)
    text = _("%(found)s instead of %(expected)s", found=found, expected=expected)
    return Evidence(_("encoding"), [Finding("encoding.differs", found, text)])


_COLLATIONS = """
SELECT '', datcollversion, pg_database_collation_actual_version(oid)
FROM pg_database WHERE datname = current_database()
UNION ALL
SELECT n.nspname || '.' || c.collname, c.collversion, pg_collation_actual_version(c.oid)
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion IS NOT NULL"""


def collation(context: CheckContext) -> Evidence:
    """Text is sorted as it was when the indexes were built (known from PostgreSQL 15 on)."""
    if context.catalogue.connection.server_version < 150000:
        return Evidence(_("PostgreSQL reports this since version 15"), skipped=True)
    found = context.catalogue.rows(_COLLATIONS)
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
    doubts = _unlike_production(context)
    if doubts and not findings:
        return Evidence(_("collations: %(count)d", count=len(found)), doubts, skipped=True)
    version = found[0][1] or _("no version, so nothing can differ")
    evidence = _(
        "collations: %(count)d; the database's: %(version)s", count=len(found), version=version
    )
    return Evidence(evidence, findings)


_LOCALE = """
SELECT datcollate, datctype, to_jsonb(d) FROM pg_database d WHERE datname = current_database()"""


def _unlike_production(context: CheckContext) -> list[Finding]:
    """In what the restored database sorts otherwise than the one that was dumped.

    That proves nothing against the backup, but its sort order was not seen here.
    """
    expected = context.expected.locale
    collate, ctype, row = context.catalogue.rows(_LOCALE)[0]
    here = {"collate": collate, "ctype": ctype, **database_locale.of_catalogue(row)}
    differing = [
        name
        for name, found in here.items()
        if name in expected and _one_form(expected[name]) != _one_form(found)
    ]
    if not differing:
        return []
    text = _(
        "text was sorted by %(expected)s, here it is by %(found)s",
        expected=_sorting(expected, here),
        found=_sorting(here, here),
    )
    return [Finding("collation.unlike_production", "", text)]


def _one_form(locale: str) -> str:
    """Return a locale in one form: since version 16 PostgreSQL writes ICU's `pt_BR` as `pt-BR`."""
    return locale.replace("_", "-").lower()


def _sorting(locale: Mapping[str, str], here: Mapping[str, str]) -> str:
    """Locale and version, for people; what a dump does not record is taken to be as here."""
    version = locale.get("version", here["version"]) or _("of no version")
    own = [locale.get("locale", ""), locale.get("rules", "")]
    return join([locale.get("collate", ""), *filter(None, own), version], " ")
