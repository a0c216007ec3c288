# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a backup inventory, the same on every page: `Daily: 7 backups (24 MB)`."""

from __future__ import annotations

import gettext
from typing import Any

from ..common import quantity
from ..common.messages import _, translate

TIERS = ("daily", "weekly", "monthly")
_TITLES = {"daily": _("Daily"), "weekly": _("Weekly"), "monthly": _("Monthly")}


def tiers(inventory: dict[str, Any]) -> list[str]:
    """Return the names of the tiers in the order of the plan, then any others."""
    held = inventory.get("tiers") or dict.fromkeys(TIERS)
    return [
        *(name for name in TIERS if name in held),
        *(name for name in held if name not in TIERS),
    ]


def tier_title(translations: gettext.NullTranslations, tier: str) -> str:
    """Return the title of a tier on pages that are not the plan's, which has English ones."""
    return translate(translations, _TITLES[tier]) if tier in _TITLES else tier.capitalize()


def count_and_size(translations: gettext.NullTranslations, count: int, size: int) -> str:
    """Return a number of backups and their size, such as `7 backups (24 MB)`."""
    backups = translations.ngettext("%(count)d backup", "%(count)d backups", count) % {
        "count": count
    }
    return f"{backups} ({quantity.size(size)})"


def tier_figures(inventory: dict[str, Any], tier: str) -> tuple[int, int]:
    """Return the number of backups and of bytes in one tier."""
    held = (inventory.get("tiers") or {}).get(tier) or {}
    return int(held.get("count") or 0), int(held.get("bytes") or 0)


def total_figures(inventory: dict[str, Any]) -> tuple[int, int]:
    """Return the number of backups and of bytes in all."""
    return int(inventory.get("total_count") or 0), int(inventory.get("total_bytes") or 0)


def unfinished_lines(
    translations: gettext.NullTranslations, inventory: dict[str, Any]
) -> list[str]:
    """Return one line for each backup that is still being written; these are in no count."""
    return [
        translations.gettext("In progress: %(path)s") % {"path": path}
        for path in inventory.get("in_progress") or []
    ]


def lines(translations: gettext.NullTranslations, inventory: dict[str, Any]) -> list[str]:
    """Return one line for each tier and one for the total."""
    result = [
        f"   {tier.capitalize()}: {count_and_size(translations, *tier_figures(inventory, tier))}"
        for tier in tiers(inventory)
    ]
    result.append(f"   Total: {count_and_size(translations, *total_figures(inventory))}")
    return result
