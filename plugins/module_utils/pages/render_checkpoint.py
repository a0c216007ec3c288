# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a checkpoint: the plan's list, each item with its evidence."""

from __future__ import annotations

import gettext
from typing import Any

from ..common.language import translations
from ..common.messages import translate_result
from ..common.safe_text import clean_all
from .render_text import known_status, mark, paint, wrap


def checkpoint_page(result: dict[str, Any], language: str, colour: bool) -> str:
    """Return the page.

    Args:
        result: as `checkpoint.CheckpointResult.to_dict` gives it.
        language: `pt_BR` or `en`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    catalogue = translations(language)
    tr = catalogue.gettext
    result = clean_all(translate_result(catalogue, result))
    checked = [item for item in result["checks"] if item["status"] != "skipped"]
    passed = [item for item in checked if item["status"] == "passed"]
    title = {
        "passed": tr("✅ System working:"),
        "failed": tr("❌ System not working:"),
        "unknown": tr("❓ It could not be checked whether the system works:"),
        "skipped": tr("⚪ Nothing was checked:"),
    }[known_status(result["status"])]
    code = {"passed": "32", "failed": "1;31", "unknown": "35", "skipped": "33"}
    lines = [paint(title, code[known_status(result["status"])], colour)]
    for number, item in enumerate(result["checks"], 1):
        lines.append(f"{number}. {mark(item['status'], colour)} {_title(catalogue, item)}")
        if item["evidence"]:
            lines += wrap(f"      {item['evidence']}", 6)
    lines += [
        "",
        tr("%(passed)d of %(checked)d checked items passed, %(left)d were not checked")
        % {
            "passed": len(passed),
            "checked": len(checked),
            "left": len(result["checks"]) - len(checked),
        },
    ]
    return "\n".join(lines)


def _title(catalogue: gettext.NullTranslations, item: dict[str, Any]) -> str:
    tr = catalogue.gettext
    known = {
        "login": tr("Login works"),
        "pos": tr("Point of sale works (a test order)"),
        "products": tr("Products load"),
        "dashboard": tr("Dashboard shows stats"),
        "logs": tr("Backend logs without errors"),
        "postgres": tr("PostgreSQL answers"),
        "services": tr("Docker services active"),
    }
    return known.get(str(item["id"])) or str(item["title"])
