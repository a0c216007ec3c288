# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a checkpoint: the plan's list, each item with what was seen."""

from __future__ import annotations

import gettext
from typing import Any

from ..common.language import translations
from ..common.safe_text import clean_all
from .render_text import known_status, mark, paint, wrap


def checkpoint_page(result: dict[str, Any], language: str, colour: bool) -> str:
    """The page.

    Args:
        result: as `checkpoint.Result.to_dict` gives it.
        language: `pt_BR` or `en`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    catalogue = translations(language)
    say = catalogue.gettext
    result = clean_all(result)
    wanted = [item for item in result["items"] if item["status"] != "skipped"]
    passed = [item for item in wanted if item["status"] == "passed"]
    title = {
        "passed": say("✅ System working:"),
        "failed": say("❌ System not working:"),
        "unknown": say("❓ It could not be told whether the system works:"),
        "skipped": say("⚪ Nothing was asked:"),
    }[known_status(result["status"])]
    code = {"passed": "32", "failed": "1;31", "unknown": "35", "skipped": "33"}
    lines = [paint(title, code[known_status(result["status"])], colour)]
    for number, item in enumerate(result["items"], 1):
        lines.append(f"{number}. {mark(item['status'], colour)} {_title(catalogue, item)}")
        if item["evidence"]:
            lines += wrap(f"      {item['evidence']}", 6)
    lines += [
        "",
        say("%(passed)d of %(asked)d items asked passed, %(left)d were not asked")
        % {
            "passed": len(passed),
            "asked": len(wanted),
            "left": len(result["items"]) - len(wanted),
        },
    ]
    return "\n".join(lines)


def _title(catalogue: gettext.NullTranslations, item: dict[str, Any]) -> str:
    say = catalogue.gettext
    known = {
        "login": say("Login works"),
        "pos": say("Point of sale works (a test order)"),
        "products": say("Products load"),
        "dashboard": say("Dashboard shows stats"),
        "logs": say("Backend logs without errors"),
        "postgres": say("PostgreSQL answers"),
        "services": say("Docker services active"),
    }
    return known.get(str(item["id"])) or str(item["title"])
