# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reports of a drill, as files: `report.json`, `report.html` and `junit.xml`.

The newest drill's are in the report folder itself, each written whole or not at all.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.language import translations
from ..common.mask import mask
from ..common.messages import _
from ..common.system_errors import reason
from ..pages import junit, render_html

FILES = ("report.json", "report.html", "junit.xml")


def write(
    folder: str,
    result: Mapping[str, Any],
    past: Sequence[Mapping[str, Any]],
    language: str,
) -> list[str]:
    """Write the reports.

    Args:
        folder: made if it is not there, for its owner alone: a report holds names and figures.
        result: the drill's.
        past: drills before it and itself, as `render_history.plots` takes them.
        language: of the page and of the evidence in `junit.xml`.

    Returns:
        A text for each that could not be written. The others are.
    """
    problems: list[str] = []
    page = {"title": socket.gethostname(), "drill": dict(result), "history": list(past)}
    contents: dict[str, Callable[[], str]] = {
        "report.json": lambda: json.dumps(result, indent=1, ensure_ascii=False) + "\n",
        "report.html": lambda: render_html.html_report({**page, "only": "drill"}, language),
        "junit.xml": lambda: junit.report(translations(language), result),
    }
    for name, content in contents.items():
        try:
            _write_file(folder, name, content())
        except ImportError:
            problems.append(_("%(name)s was not written: install python3-jinja2", name=name))
        except (OSError, ResilienceError) as error:
            problems.append(_("%(name)s was not written: %(why)s", name=name, why=reason(error)))
    return problems


def _write_file(folder: str, name: str, text: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    replace_file(os.path.join(folder, name), mask(text))
