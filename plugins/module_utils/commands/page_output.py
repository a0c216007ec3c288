# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a page to standard output, as wide as the terminal is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ..pages import render_text
from .command import print_result


def _columns() -> int:
    """Return how wide the terminal is; 0 where there is none."""
    # The output of a supervised command is written by its supervisor, which knows the terminal.
    if hasattr(sys.stdout, "columns"):
        return int(sys.stdout.columns())
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return 0


def print_page(render: Callable[[], str]) -> None:
    """Write a page to standard output, at once; on a narrow terminal with shorter lines.

    Args:
        render: returns the page.

    Raises:
        OutputError: it cannot be written.
    """
    columns = _columns()
    if not 0 < columns < render_text.WIDTH:
        print_result(render())
        return
    with render_text.lines_of(columns):
        print_result(render_text.fitted(render(), columns))
