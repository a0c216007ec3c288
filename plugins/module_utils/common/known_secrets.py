# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of the configuration, and the ways in which texts write them."""

from __future__ import annotations

import html
import json
import re
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from .mask import set_source

# A shorter value cannot be distinguished from ordinary text.
SHORTEST = 4
# A value of fewer characters is masked only where no letter or digit stands beside it.
WITHIN_WORDS = 8
# Keys whose values are secrets, in mappings that hold other values, too.
SECRET_KEY = r"pass|secret|token|credential|api_?key|private|dsn|database_url"

_known: set[str] = set()
_pattern: re.Pattern[str] | None = None
# Users of an API are walked side by side, and each brings a token.
_lock = threading.Lock()


def remember(values: Iterable[str], ordinary: Iterable[str] = ()) -> None:
    """Mask these values from now on.

    Args:
        values: secrets.
        ordinary: names that are no secrets; a secret that is one of them would make pages
            unreadable and hide nothing.
    """
    global _pattern
    found = set(unlike(values, ordinary))
    with _lock:
        if found - _known:
            _known.update(found)
            _pattern = None
    if found:
        set_source(_expression_of_all)


def _expression_of_all() -> re.Pattern[str]:
    """Return what finds each known secret; made when a text needs it, not for every new secret."""
    global _pattern
    with _lock:
        if _pattern is None:
            written = {form for secret in _known for form in _forms(secret)}
            longest_first = sorted(written, key=lambda one: (-len(one), one))
            _pattern = re.compile("|".join(map(_expression, longest_first)))
        return _pattern


def unlike(values: Iterable[str], ordinary: Iterable[str]) -> list[str]:
    """Return the secrets that are neither short nor one of these names."""
    plain = {word.lower() for word in ordinary}
    return [one for one in values if len(one) >= SHORTEST and one.lower() not in plain]


def forget() -> None:
    """Mask nothing any more."""
    global _pattern
    with _lock:
        _known.clear()
        _pattern = None
    set_source(None)


def secrets_in(value: Any, within: bool = False) -> list[str]:
    """Return the secrets in the value of an option that is declared as one.

    Args:
        value: text, addresses, or mappings such as users and environments; of a mapping only the
            values of keys that say so, because a name or an address beside them is no secret.
        within: whether it is a value of a mapping.
    """
    if isinstance(value, Mapping):
        return [
            secret
            for key, one in value.items()
            if not isinstance(one, str) or re.search(SECRET_KEY, str(key), re.IGNORECASE)
            for secret in secrets_in(one, within=True)
        ]
    if isinstance(value, (list, tuple)):
        return [secret for one in value for secret in secrets_in(one, within)]
    if not isinstance(value, str) or not value:
        return []
    return [value, *_parts(value)] if "://" in value else [value]


def _parts(address: str) -> list[str]:
    """Return what is secret in an address: its password, and long parts that look random."""
    try:
        found = urllib.parse.urlsplit(address)
    except ValueError:
        return []
    parts = re.split(r"[/?&=:@]", f"{found.netloc}/{found.path}?{found.query}")
    random = [
        part
        for part in parts
        if len(part) >= 12 and re.search(r"\d", part) and re.search(r"[A-Za-z]", part)
    ]
    password = found.netloc.rpartition("@")[0].partition(":")[2]
    return [one for part in (password, *random) for one in (part, urllib.parse.unquote(part))]


def _forms(secret: str) -> set[str]:
    """Return the ways in which JSON, HTML, addresses and Python write a value.

    JSON also within JSON: a response that repeats its request stands in a report that is JSON.
    """
    once = _json_forms(secret)
    twice = {form for one in once for form in _json_forms(one)}
    plain = {secret, *once, *twice}
    return {
        *plain,
        *(html.escape(one) for one in plain),
        *(html.escape(one, quote=False) for one in plain),
        # Bytes that are no UTF-8 are halves of surrogate pairs in text.
        urllib.parse.quote(secret, errors="surrogateescape"),
        urllib.parse.quote(secret, safe="", errors="surrogateescape"),
        urllib.parse.quote_plus(secret, errors="surrogateescape"),
        repr(secret)[1:-1],
    }


def _json_forms(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _expression(form: str) -> str:
    expression = re.escape(form)
    if len(form) >= WITHIN_WORDS:
        return expression
    return rf"(?<![A-Za-z0-9]){expression}(?![A-Za-z0-9])"
