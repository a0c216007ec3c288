# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output and standard error of a command."""

from __future__ import annotations

import codecs
import io
import locale
import sys


def replace_what_they_cannot_show() -> None:
    """Let an output that is no UTF-8 show what it can of a page, instead of nothing."""
    encoding = _of_locale() if sys.flags.utf8_mode else None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            errors = "backslashreplace" if stream is sys.stderr else "replace"
            shown = encoding if stream.encoding.lower() == "utf-8" else None
            stream.reconfigure(encoding=shown, errors=errors)


def _of_locale() -> str | None:
    """Return the encoding of a terminal that is no UTF-8; None where UTF-8 is right or is a guess.

    The launcher has names of files written in UTF-8 whatever the locale, and Python then writes
    pages so, too. Plain C says nothing about the terminal.
    """
    try:
        name = codecs.lookup(locale.nl_langinfo(locale.CODESET)).name
    except LookupError:
        return None
    return None if name in ("ascii", "utf-8") else name
