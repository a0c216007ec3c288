# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the HTML report that is about disks."""

from __future__ import annotations

import gettext
from typing import Any

from ..common import shares
from ..common.levels import RISING
from ..common.zip_equal import zip_equal
from ..disk.disk_causes import level_word
from . import render_disk, render_inventory
from .html_attention import OF_LEVEL, AttentionItem, worst_state
from .render_text import WORST_FIRST, known_level


def disk_part(translations: gettext.NullTranslations, disk: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a measurement.

    Args:
        translations: of the page's language.
        disk: a measurement, as plain values, with `backups`.
    """
    tr = translations.gettext
    targets = list(disk.get("targets") or [])
    backups = disk.get("backups")
    levels = list(render_disk.by_level(disk, backups))
    worst_first = sorted(
        zip_equal(_names(targets), targets),
        key=lambda pair: WORST_FIRST.index(known_level(pair[1].get("level"))),
    )
    rows = [_target(translations, name, target) for name, target in worst_first]
    findings = [
        AttentionItem(row["state"], f"{row['name']}: {row['level']}", row["reason"])
        for row in rows
        if row["state"] != "ok"
    ]
    for problem in (backups or {}).get("problems") or []:
        findings.append(
            AttentionItem("unknown", tr("Backup folder not read in full"), str(problem))
        )
    state = worst_state([OF_LEVEL[level] for level in levels])
    return {
        "state": state,
        "summary": tr("All systems normal") if state == "ok" else _upper(translations, levels[0]),
        "detail": _detail(translations, rows, len(findings)),
        "findings": findings,
        "targets": rows,
        "backups": None if backups is None else tier_rows(translations, backups),
    }


def tier_rows(
    translations: gettext.NullTranslations,
    inventory: dict[str, Any],
    tiers: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return a row for each tier of a backup tree, and one for all of them."""
    rows = []
    for tier in render_inventory.tiers(inventory) if tiers is None else tiers:
        count, size = render_inventory.tier_figures(inventory, tier)
        name = render_inventory.tier_title(translations, tier)
        rows.append({"name": name, "count": count, "bytes": size})
    count, size = render_inventory.total_figures(inventory)
    return [*rows, {"name": "Total", "count": count, "bytes": size}]


def _names(targets: list[dict[str, Any]]) -> list[str]:
    """Return what each target is called: a mount point by its path, if it has no name."""
    return [
        str(target["path"]) if target.get("path") == "/" and not target.get("name") else name
        for name, target in zip_equal(render_disk.target_names(targets), targets)
    ]


def _upper(translations: gettext.NullTranslations, level: str) -> str:
    return level_word(translations, known_level(level)).upper()


def _target(
    translations: gettext.NullTranslations, name: str, target: dict[str, Any]
) -> dict[str, Any]:
    state = OF_LEVEL[known_level(target.get("level"))]
    limits = target.get("limits") or {}
    return {
        "name": name,
        "path": target.get("path") if target.get("path") != name else "",
        "state": state,
        "level": _upper(translations, str(target.get("level"))),
        "figures": render_disk.target_figures(target),
        "percent": target.get("percent_used"),
        "limits": [
            {"at": limits[level], "name": f"{level_word(translations, level)} {limits[level]:g}%"}
            for level in RISING
            if limits.get(level) is not None
        ],
        "free": target.get("bytes_available"),
        "inodes": target.get("inodes_percent_used"),
        "reason": render_disk.target_reason(translations, target) if state != "ok" else "",
    }


def _detail(
    translations: gettext.NullTranslations, rows: list[dict[str, Any]], findings: int
) -> str:
    """Return the line of the worst target, or of the fullest where all are well."""
    measured = [row for row in rows if row["percent"] is not None]
    bad = [row for row in rows if row["state"] != "ok"]
    first = bad[0] if bad else max(measured, key=lambda row: float(row["percent"]), default=None)
    if first is None:
        return ""
    text = str(first["name"])
    if first["percent"] is not None:
        text += f": {shares.percent(first['percent'])}"
    if findings > 1:
        text += ", " + translations.gettext("and %(count)d more") % {"count": findings - 1}
    return text
