# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The title of every check, by its identifier: English here, translated by the catalogues."""

from __future__ import annotations

from collections.abc import Mapping

from ..common.messages import Message, _

TITLES: Mapping[str, Message] = {
    "archive": _("Backup integrity"),
    "restore": _("Restore"),
    "schemas": _("Schemas"),
    "tenants": _("Tenants and their schemas"),
    "tenant_structure": _("Tenant structure"),
    "tables": _("Tables"),
    "columns": _("Columns and types"),
    "row_counts": _("Row counts"),
    "primary_keys": _("Primary keys"),
    "foreign_keys": _("Foreign keys"),
    "referential_integrity": _("Referential integrity"),
    "indexes": _("Indexes"),
    "unique_constraints": _("Unique constraints"),
    "other_constraints": _("Check and exclusion constraints"),
    "sequences": _("Sequences"),
    "views": _("Views"),
    "materialized_views": _("Materialized views"),
    "routines": _("Functions, types and extensions"),
    "table_rules": _("Triggers, rules and policies"),
    "large_objects": _("Large objects"),
    "encoding": _("Encoding"),
    "collation": _("Text sort order"),
    "corruption": _("Index corruption (amcheck)"),
    "content": _("Table content"),
    "definitions": _("Definitions of all objects"),
    "isolation": _("Staging isolation"),
    "production": _("Comparison with production"),
    "previous": _("Comparison with the last drill"),
    "numbering": _("Gaps in the archive's numbers"),
    "left_out": _("Signs that something was left out"),
    "sealed": _("Chain from production to the restored content"),
    "transfer": _("Transfer into production"),
}


def title_of(id: str) -> str:
    """Return the English title of a check; its identifier if no title is registered."""
    return TITLES.get(id, id)
