# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translatable messages: English text that remembers the message and the values it was made of.

The engine measures and judges without knowing who reads. Results keep the form of each message
beside its English text, so that a page can translate it, today or from a result that was stored.
Programs compare identifiers, never this text.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterable, Mapping
from typing import Any

# Logs and results are in English.
ENGLISH = gettext.NullTranslations()
# The form of a message: `message` with its `values`, perhaps with a `plural` and its `count`; or
# the `parts` of a joined text with what stands `between` them.
Form = dict[str, Any]
# A result keeps the form of `evidence` under `evidence_message`.
SUFFIX = "_message"


class Message(str):
    """English text with its `form`."""

    form: Form


def _(message: str, **values: object) -> Message:  # pylint: disable=disallowed-name
    """Return a translatable text.

    Its name is gettext's, so that catalogue tools find the messages.

    Args:
        message: English, a literal, so that it gets into the catalogues; `%(name)s` stands for a
            value. Without any values a percent sign stands for itself.
        values: texts, which may be translatable themselves, and numbers.
    """
    return _text({"message": message, "values": _plain(values)})


def ngettext(message: str, plural: str, count: int, **values: object) -> Message:
    """Return a translatable text that depends on a number, which the messages call `%(count)d`."""
    form = {"message": message, "plural": plural, "count": count}
    return _text({**form, "values": _plain({"count": count, **values})})


def join(parts: Iterable[str], between: str = ", ") -> Message:
    """Return several texts as one; empty ones are left out."""
    return _text({"parts": [to_form(part) for part in parts if part], "between": between})


def to_form(text: str) -> Any:
    """Return what a result keeps of a text: its form, or the text itself if it has none."""
    return text.form if isinstance(text, Message) else text


def from_form(form: object, otherwise: str) -> str:
    """Return the message of a form that a file or another host gave.

    Args:
        form: may be anything.
        otherwise: the text to return where it is no form.
    """
    try:
        return _text(dict(form)) if isinstance(form, Mapping) else otherwise
    except (KeyError, TypeError, ValueError):
        return otherwise


def translate(translations: gettext.NullTranslations, form: Any) -> str:
    """Return a text in a language.

    Args:
        translations: of the language.
        form: a message, its form, or any other value, which is shown as it is.
    """
    form = form.form if isinstance(form, Message) else form
    if not isinstance(form, Mapping):
        return str(form)
    if "parts" in form:
        return str(form["between"]).join(translate(translations, part) for part in form["parts"])
    message = str(form["message"])
    if "plural" in form:
        message = translations.ngettext(message, str(form["plural"]), int(form["count"]))
    else:
        message = translations.gettext(message)
    values = {
        name: translate(translations, value) if isinstance(value, Mapping) else value
        for name, value in form["values"].items()
    }
    return message % values if values else message


def translate_all(translations: gettext.NullTranslations, data: Any) -> Any:
    """Return a copy of a result that was never stored, with its messages translated."""
    if isinstance(data, Message):
        return translate(translations, data)
    if isinstance(data, Mapping):
        return {key: translate_all(translations, value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [translate_all(translations, value) for value in data]
    return data


def translate_result(translations: gettext.NullTranslations, result: Any) -> Any:
    """Return a copy of a result, of any depth, with its messages translated.

    Args:
        translations: of the language.
        result: made of parts that `with_forms` returned: `<key>_message` is the form of `<key>`.
    """
    if isinstance(result, Mapping):
        plain = {key: translate_result(translations, value) for key, value in result.items()}
        for key, form in result.items():
            if str(key).endswith(SUFFIX) and form is not None:
                plain[str(key)[: -len(SUFFIX)]] = translate(translations, form)
        return plain
    if isinstance(result, (list, tuple)):
        return [translate_result(translations, value) for value in result]
    return result


def with_forms(holder: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return a part of a result with the form of each of these texts beside it."""
    plain = dict(holder)
    for key in keys:
        text = holder[key]
        plain[key] = None if text is None else str(text)
        plain[key + SUFFIX] = text.form if isinstance(text, Message) else None
    return plain


def _text(form: Form) -> Message:
    text = Message(translate(ENGLISH, form))
    text.form = form
    return text


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: to_form(value)
        if isinstance(value, str)
        else value
        if isinstance(value, (int, float))
        else str(value)
        for name, value in values.items()
    }
