# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that people read. Data in, text out: nothing here prints, measures or judges.

Every function takes plain values as the engine returns them, and the language: `pt_BR`, in which
ChefWell's pages have the plan's wording line by line, or `en`. Text from elsewhere (file names,
evidence) is shown with its control characters written out, and escaped in HTML.
"""

from __future__ import annotations

from typing import Any

from ..common.language import translations
from . import render_disk, render_drill, render_html, render_offsite


def dashboard(
    disk: dict[str, Any],
    backups: dict[str, Any],
    language: str,
    colour: bool,
    owner: str = "ChefWell",
) -> str:
    """Return the disk dashboard.

    Args:
        disk: `level` and `targets`, each as `disk.TargetResult.to_dict` gives it.
        backups: the backup tree, as `inventory.Inventory.to_dict` gives it.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.
        owner: whose system this is.

    Raises:
        ResilienceError: the language is not known.
    """
    return render_disk.dashboard(translations(language), disk, backups, colour, owner)


def offsite_report(verification: dict[str, Any], language: str, colour: bool) -> str:
    """Return the page about the verification of the offsite copy.

    Args:
        verification: `host`, the inventories `local` and `remote`, and their `comparison`.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    return render_offsite.offsite_report(translations(language), verification, colour)


def validation_report(drill: dict[str, Any], language: str, colour: bool) -> str:
    """Return the validation report of a drill.

    Args:
        drill: the drill's result.
        language: one of `language.LANGUAGES`.
        colour: whether to use ANSI colours.

    Raises:
        ResilienceError: the language is not known.
    """
    return render_drill.validation_report(translations(language), drill, colour)


def html_report(results: dict[str, Any], language: str) -> str:
    """Return one self-contained HTML page about all three stages.

    Args:
        results: `title`, and `disk` (with `backups` in it), `offsite` and `drill` as the other
            functions take them; each of these may be None when that stage was not run. `history`
            has past drills, see `render_history.plots`; `only`, if it is `drill`, leaves out what
            is about the other stages.
        language: one of `language.LANGUAGES`.

    Raises:
        ResilienceError: the language is not known.
    """
    return render_html.html_report(translations(language), results, language)
