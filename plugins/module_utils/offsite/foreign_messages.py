# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages from the backup server, taken as data: none becomes a format that was not checked.

A translatable message of the server's is shown in the reader's language, but its text becomes a
format only if every conversion in it is a plain `%(name)s` or `%(name)d`, and only with values that
are bounded and escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..common import json_text
from ..common.messages import from_form
from ..common.safe_text import clean

_MOST_CHARACTERS = 500
_MOST_DEPTH = 6
_MOST_PARTS = 20
_PLAIN_FORMAT = re.compile(r"(?:[^%]|%%|%\(\w{1,40}\)[sd])*")


def foreign_message(form: object, otherwise: str) -> str:
    """Return the message of a form that the server gave; the other text where it is none.

    Args:
        form: may be anything; a text is read as JSON.
        otherwise: what to show instead; bounded and escaped already.
    """
    try:
        if isinstance(form, str):
            form = json_text.loads(form) if len(form) < _MOST_CHARACTERS * _MOST_PARTS else None
        return from_form(_checked(form, _MOST_DEPTH), otherwise)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return otherwise


def foreign_text(text: object) -> str:
    """Return a text that the server gave, on one line: bounded, and escaped."""
    return clean(str(text)[:_MOST_CHARACTERS])


def _checked(form: Any, depth: int) -> dict[str, Any]:
    """Return a form in which nothing is longer or deeper than a message of this collection.

    Raises:
        ValueError, TypeError, KeyError: it is no such form.
    """
    if depth == 0 or not isinstance(form, Mapping):
        raise ValueError("no form of a message")
    if "parts" in form:
        parts = [
            _checked(part, depth - 1) if isinstance(part, Mapping) else foreign_text(part)
            for part in form["parts"][:_MOST_PARTS]
        ]
        return {"parts": parts, "between": foreign_text(form["between"])}
    found: dict[str, Any] = {"message": _format(form["message"])}
    if "plural" in form:
        found |= {"plural": _format(form["plural"]), "count": _number(form["count"])}
    values = list(form["values"].items())[:_MOST_PARTS]
    found["values"] = {str(name)[:40]: _value(value, depth - 1) for name, value in values}
    return found


def _format(text: object) -> str:
    plain = clean(str(text))
    if len(plain) > _MOST_CHARACTERS or not _PLAIN_FORMAT.fullmatch(plain):
        raise ValueError("no format of this collection")
    return plain


def _number(value: object) -> int:
    if not isinstance(value, int) or abs(value) >= 1 << 63:
        raise ValueError("no number")
    return value


def _value(value: object, depth: int) -> object:
    if isinstance(value, Mapping):
        return _checked(value, depth)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return _number(value)
    return value if isinstance(value, float) else foreign_text(value)
