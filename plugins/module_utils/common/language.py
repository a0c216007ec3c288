# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The languages that pages speak: English in the source, the others from gettext catalogues."""

from __future__ import annotations

import functools
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import gettext

    Translations = gettext.NullTranslations
else:
    Translations = object

DOMAIN = "chefwell_resilience"
LANGUAGES = ("pt_BR", "en")
CATALOGUES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "locale")


class Words(Translations):
    """The words of one language, as `gettext` gives them; its catalogue is read when the first of
    them is asked for, for a run that finds all well says none.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalogue: gettext.NullTranslations | None = None

    def _translations(self) -> gettext.NullTranslations:
        if self._catalogue is None:
            import gettext  # see above
            import struct

            path = os.path.join(CATALOGUES, self.language, "LC_MESSAGES", f"{DOMAIN}.mo")
            try:
                with open(path, "rb") as file:
                    self._catalogue = gettext.GNUTranslations(file)
            except (OSError, ValueError, struct.error):
                self._catalogue = gettext.NullTranslations()
        return self._catalogue

    def gettext(self, message: str) -> str:
        """The message in this language."""
        return message if self.language == "en" else self._translations().gettext(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The message for a number of things: the first for one, the second for several."""
        if self.language == "en":
            return msgid1 if n == 1 else msgid2
        return self._translations().ngettext(msgid1, msgid2, n)


# What logs and results speak.
ENGLISH = Words("en")


@functools.cache
def words(language: str) -> gettext.NullTranslations:
    """The translations of one language.

    A catalogue that is missing or damaged yields English: a page in the wrong language still tells
    what happened, a page that was never printed does not.

    Args:
        language: one of `LANGUAGES`.

    Raises:
        ResilienceError: the language is not one of them.
    """
    if language not in LANGUAGES:
        from .errors import ResilienceError  # which itself speaks English

        raise ResilienceError(
            "the language is not known",
            option="language",
            value=language,
            remedy=f"use one of {', '.join(LANGUAGES)}",
        )
    return Words(language)
