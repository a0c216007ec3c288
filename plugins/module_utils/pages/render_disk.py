# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk dashboard."""

from __future__ import annotations

import gettext
from typing import Any

from ..common import quantity, shares
from ..common.language import translations as language_translations
from ..common.levels import LEVEL_DISPLAY
from ..common.messages import translate_all
from ..common.safe_text import clean, clean_all
from ..common.zip_equal import zip_equal
from ..disk import disk_causes
from . import render_inventory, render_trend
from .render_text import WORST_FIRST, centred, known_level, level_text, paint, wrap

PLAN_OWNER = "ChefWell"


def target_names(targets: list[dict[str, Any]]) -> list[str]:
    """Return what each target is called: the plan's names for two, the path or name of others."""
    folders = sum(bool(target.get("folder")) for target in targets)
    names = []
    for target in targets:
        if target.get("name") == "backups" or (target.get("folder") and folders == 1):
            names.append("Backups")
        elif target.get("path") == "/":
            names.append("Root Filesystem")
        else:
            names.append(str(target.get("name") or target.get("path")))
    return names


def target_reason(translations: gettext.NullTranslations, target: dict[str, Any]) -> str:
    """Return why a target is not ok: its causes, or its reason, or that inodes run out."""
    causes = [cause for cause in target.get("causes") or [] if cause["level"] != "ok"]
    if causes:
        return "; ".join(disk_causes.cause_text(translations, cause) for cause in causes)
    reason = str(target.get("reason") or "")
    inodes, used = target.get("inodes_percent_used"), target.get("percent_used")
    if not reason and inodes is not None and (used is None or inodes > used):
        return translations.gettext("inodes %(percent)s") % {"percent": shares.percent(inodes)}
    return reason


def target_figures(target: dict[str, Any]) -> str:
    """Return a target's usage, such as `45.2 GB / 100 GB (45%)`; empty if it was not measured."""
    if target.get("bytes_used") is None:
        return ""
    total = target.get("bytes_total")
    if not target.get("folder") and target.get("bytes_available") is not None:
        # What is reserved for root is not to be had: of the rest the share is taken.
        total = target["bytes_used"] + target["bytes_available"]
    used, total = quantity.size(target["bytes_used"]), quantity.size(total)
    share = target.get("percent_used")
    if share == 0 and target["bytes_used"]:
        share = 0.001  # rounded to 0 by the measurement, yet not nothing
    return f"{used} / {total} ({shares.percent(share)})"


def _is_reported(targets: list[dict[str, Any]]) -> bool:
    """Return whether the backup folder's own causes say why it could not be read in full."""
    return any(
        cause.get("code") == "backups" for target in targets for cause in target.get("causes") or []
    )


def by_level(disk: dict[str, Any], backups: dict[str, Any] | None) -> dict[str, list[str]]:
    """Return the names of the targets at each level, the worst level first.

    A result without targets, or whose own level is worse than every target's, is not ok; neither
    is a backup folder that could not be read in full.
    """
    targets = list(disk.get("targets") or [])
    names = target_names(targets)
    found: dict[str, list[str]] = {level: [] for level in WORST_FIRST}
    for name, target in zip_equal(names, targets):
        found[known_level(target.get("level"))].append(name)
    unread = backups is not None and backups.get("problems") and not _is_reported(targets)
    if unread and "Backups" not in found["unknown"]:
        found["unknown"].append("Backups")
    whole = known_level(disk.get("level"))
    if not any(found[level] for level in WORST_FIRST[: WORST_FIRST.index(whole) + 1]):
        found[whole].append("-")
    return {level: held for level, held in found.items() if held}


def _title(translations: gettext.NullTranslations, owner: str, columns: int) -> str:
    tr = translations.gettext
    if owner == PLAN_OWNER:
        # As the plan places it, which is not quite in the middle.
        return tr("║                CHEFWELL - DISK SPACE MONITOR                 ║")
    title = tr("%(owner)s - DISK SPACE MONITOR") % {"owner": clean(owner).upper()}
    return f"║{centred(title, columns)}║"


def dashboard(
    disk: dict[str, Any],
    backups: dict[str, Any],
    language: str,
    colour: bool,
    owner: str = "ChefWell",
) -> str:
    """Return the dashboard of the plan; what the plan does not have stands before its last line.

    Args:
        disk: `level` and `targets`, each as `disk.TargetResult.to_dict` gives it.
        backups: the backup tree, as `inventory.Inventory.to_dict` gives it.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.
        owner: whose system this is.

    Raises:
        ResilienceError: the language is not known.
    """
    translations = language_translations(language)
    tr = translations.gettext
    disk, backups = clean_all(disk), clean_all(translate_all(translations, backups))
    targets = list(disk.get("targets") or [])
    rule = "═" * 62
    lines = [
        f"╔{rule}╗",
        _title(translations, owner, len(rule)),
        f"╚{rule}╝",
        "",
        tr("📊 SYSTEM STATUS:"),
    ]
    for name, target in zip_equal(target_names(targets), targets):
        figures = target_figures(target)
        line = f"   {name}: {figures} " if figures else f"   {name}: "
        line += level_text(target.get("level"), colour)
        reason = target_reason(translations, target)
        if reason and target.get("level") != "ok":
            line += f" - {reason}"
        lines += wrap(line, 6)
    lines += ["", tr("🗂️  BACKUP DETAILS:"), *render_inventory.lines(translations, backups)]
    for line in render_inventory.unfinished_lines(translations, backups):
        lines += wrap(f"   {line}", 6)
    for problem in [] if _is_reported(targets) else backups.get("problems") or []:
        lines += wrap(f"   {level_text('unknown', colour)} - {problem}", 6)
    trend = render_trend.trend_lines(
        translations, target_names(targets), targets, colour, disk.get("tiers")
    )
    if trend:
        lines += [*trend, *render_trend.fit_lines(translations, targets)]
    lines += render_trend.alert_lines(translations, disk.get("alerts") or [], colour)
    lines.append("")
    found = by_level(disk, backups)
    if list(found) == ["ok"]:
        lines.append(paint(tr("✅ All systems normal"), LEVEL_DISPLAY["ok"][2], colour))
    else:
        texts = [
            tr("%(level)s at %(targets)s")
            % {"level": level_text(level, colour), "targets": ", ".join(names)}
            for level, names in found.items()
            if level != "ok"
        ]
        lines += wrap("; ".join(texts), 3)
    return "\n".join(lines)
