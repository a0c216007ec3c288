# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove secrets from text that other programs wrote: responses, log lines, errors of libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable

MARK = "********"
# Patterns of secrets that are not known beforehand: a JSON Web Token (RFC 7519: three parts of
# base64url), a bearer token (RFC 6750), the password of a URL (RFC 3986, userinfo), and the value
# of a key that says what it is.
_LOOKS = (
    re.compile(r"()\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*()"),
    re.compile(r"(\bbearer\s+)[^\s\"',]{8,}()", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(@)", re.IGNORECASE),
    re.compile(
        r"((?:\b|_)(?:password|passwd|senha|secret|token|api[_-]?key)[\"']?\s*[=:]\s*[\"']?)"
        r"[^\s\"',;&}]+()",
        re.IGNORECASE,
    ),
)
# Shorter ones would blacken words that only happen to hold them.
SHORTEST = 4


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text without these secrets, and without what looks like one.

    Args:
        text: any text.
        secrets: those that are known; one of under four characters is left alone.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MARK)
    for look in _LOOKS:
        text = look.sub(rf"\g<1>{MARK}\g<2>", text)
    return text
