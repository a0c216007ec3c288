# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What checks, calls to the API and phases are called on a page.

The engine names them by a stable id and an English title. A title that no catalogue knows, of a
query or an API step that somebody configured, is shown as it was given.
"""

from __future__ import annotations

import gettext
from typing import Any


def api_title(words: gettext.NullTranslations, call: dict[str, Any]) -> str:
    """What a call to the API is called."""
    say = words.gettext
    known = {
        "login": say("Login"),
        "products": say("List Products"),
        "sales": say("List Sales"),
        "customers": say("List Customers"),
        "orders": say("List Orders"),
        "stats": say("Dashboard Stats"),
        "dashboard": say("Dashboard Stats"),
    }
    name = "stats" if call.get("kind") == "stats" else str(call.get("id"))
    return known.get(name) or str(call.get("title") or call.get("id"))


def check_title(words: gettext.NullTranslations, check: dict[str, Any]) -> str:
    """What a check is called."""
    say = words.gettext
    known = {
        "archive": say("The backup is whole"),
        "restore": say("Restored without errors"),
        "schemas": say("Schemas"),
        "tenants": say("Stores and their schemas"),
        "tenant_structure": say("Stores alike in structure"),
        "tables": say("Tables"),
        "columns": say("Columns and types"),
        "row_counts": say("Rows of every table"),
        "primary_keys": say("Primary keys"),
        "foreign_keys": say("Foreign keys"),
        "referential_integrity": say("Referential integrity"),
        "indexes": say("Indexes"),
        "unique_constraints": say("Unique constraints"),
        "other_constraints": say("Check and exclusion constraints"),
        "sequences": say("Sequences"),
        "views": say("Views"),
        "materialized_views": say("Materialized views"),
        "routines": say("Functions, types and extensions"),
        "table_rules": say("Triggers, rules and policies"),
        "large_objects": say("Large objects"),
        "encoding": say("Encoding"),
        "collation": say("Sort order of text"),
        "corruption": say("Damaged indexes (amcheck)"),
        "content": say("Content of every table"),
        "isolation": say("Nothing left staging"),
        "production": say("Compared with production"),
        "previous": say("Compared with the last drill"),
        "transfer": say("Brought into production's database"),
    }
    name = str(check.get("id"))
    if name.startswith("api_"):
        return "API: " + api_title(words, {**check, "id": name.removeprefix("api_")})
    return known.get(name) or str(check.get("title") or name)


def phase_title(words: gettext.NullTranslations, name: str) -> str:
    """What a phase of a drill is called."""
    say = words.gettext
    known = {
        "fetch": say("Fetch"),
        "digest": say("Digest"),
        "decode": say("Full decode"),
        "staging": say("Staging"),
        "transfer": say("Into production"),
        "restore": say("Restore"),
        "backend": say("Backend"),
        "validate": say("Validation"),
        "production": say("Compared with production"),
        "validation": say("Validation"),
        "api": "API",
        "cleanup": say("Clean-up"),
    }
    return known.get(name) or name.replace("_", " ").capitalize()
