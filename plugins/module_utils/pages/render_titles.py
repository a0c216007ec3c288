# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Titles of checks, API calls and phases in the language of a page.

A title that no catalogue knows, of a configured query or API step, is shown as configured.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from typing import Any

from ..checks.check_titles import TITLES
from ..common.messages import Message, _, translate

_CALLS: Mapping[str, Message] = {
    "login": _("Login"),
    "products": _("List Products"),
    "sales": _("List Sales"),
    "customers": _("List Customers"),
    "orders": _("List Orders"),
    "stats": _("Dashboard Stats"),
    "dashboard": _("Dashboard Stats"),
}
_PHASES: Mapping[str, str] = {
    "fetch": _("Fetch"),
    "open": _("Open the sealed backup"),
    "digest": _("Digest"),
    "decode": _("Full decode"),
    "staging": _("Staging"),
    "target": _("Production server"),
    "transfer": _("Into production"),
    "restore": _("Restore"),
    "backend": _("Backend"),
    "validate": _("Validation"),
    "production": TITLES["production"],
    "validation": _("Validation"),
    "api": "API",
    "cleanup": _("Clean-up"),
}


def api_title(translations: gettext.NullTranslations, call: Mapping[str, Any]) -> str:
    """Return the title of an API call."""
    name = "stats" if call.get("kind") == "stats" else str(call.get("id"))
    title = _CALLS.get(name) or str(call.get("title") or call.get("id"))
    return translate(translations, title)


def check_title(translations: gettext.NullTranslations, check: Mapping[str, Any]) -> str:
    """Return the title of a check."""
    name = str(check.get("id"))
    if name.startswith("api_"):
        return "API: " + api_title(translations, {**check, "id": name.removeprefix("api_")})
    return translate(translations, TITLES.get(name) or str(check.get("title") or name))


def phase_title(translations: gettext.NullTranslations, name: str) -> str:
    """Return the title of a phase of a drill or a recovery."""
    return translate(translations, _PHASES.get(name) or name.replace("_", " ").capitalize())
