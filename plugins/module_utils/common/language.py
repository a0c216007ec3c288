# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The languages of pages: English is in the source, the others are gettext catalogues."""

from __future__ import annotations

import functools
import gettext
import os
import struct

from .errors import ResilienceError

DOMAIN = "chefwell_resilience"
LANGUAGES = ("pt_BR", "en")
CATALOGUES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "locale")


@functools.cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the translations of one language.

    A catalogue that is missing or damaged yields English: a page in the wrong language still says
    what happened, a page that was never printed does not.

    Args:
        language: one of `LANGUAGES`.

    Raises:
        ResilienceError: the language is not one of them.
    """
    if language not in LANGUAGES:
        raise ResilienceError(
            "the language is not known",
            option="language",
            value=language,
            remedy=f"use one of {', '.join(LANGUAGES)}",
        )
    try:
        return gettext.translation(DOMAIN, CATALOGUES, [language])
    except (OSError, ValueError, struct.error):
        return gettext.NullTranslations()
