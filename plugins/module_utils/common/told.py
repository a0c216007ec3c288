# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of the engine that pages can say in another language.

The engine measures and judges without knowing who reads. What it tells is English text that
remembers the message and the values it was made of; results keep these beside it, so that a page
says the same in its own language, today or from a result that was kept. Programs read identifiers,
never this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .language import ENGLISH

TYPE_CHECKING = False
if TYPE_CHECKING:
    import gettext
    from typing import Any

    # The plain form: a message with its values, perhaps with a plural and its count, or parts in a
    # row.
    Said = dict[str, Any]
# What a result calls the plain form of a text: `evidence_said` beside `evidence`.
SUFFIX = "_said"


class Told(str):
    """English text with its plain form, `said`."""

    said: Said


def told(message: str, **values: object) -> Told:
    """A text from a message.

    Args:
        message: English, a literal, so that the catalogues know it; `%(name)s` stands for a value,
            and without any values a percent sign for itself.
        values: texts, which may be told themselves, and numbers.
    """
    return _text({"message": message, "values": _plain(values)})


def told_many(message: str, plural: str, count: int, **values: object) -> Told:
    """A text whose words depend on a number, which the messages call `%(count)d`."""
    form = {"message": message, "plural": plural, "count": count}
    return _text({**form, "values": _plain({"count": count, **values})})


def in_row(parts: Iterable[str], between: str = ", ") -> Told:
    """Several texts in a row; those that are empty are left out."""
    return _text({"parts": [said(part) for part in parts if part], "between": between})


def said(text: str) -> Any:
    """What results keep of a text: its plain form, or the text itself if it has none."""
    return text.said if isinstance(text, Told) else text


def spoken(words: gettext.NullTranslations, form: Any) -> str:
    """A text in a language.

    Args:
        words: the language's.
        form: a told text, its plain form, or any other value, which is shown as it is.
    """
    form = form.said if isinstance(form, Told) else form
    if not isinstance(form, Mapping):
        return str(form)
    if "parts" in form:
        return str(form["between"]).join(spoken(words, part) for part in form["parts"])
    message = str(form["message"])
    if "plural" in form:
        message = words.ngettext(message, str(form["plural"]), int(form["count"]))
    else:
        message = words.gettext(message)
    values = {
        name: spoken(words, value) if isinstance(value, Mapping) else value
        for name, value in form["values"].items()
    }
    return message % values if values else message


def restored(form: object, otherwise: str) -> str:
    """A told text from its plain form, as a file or another host gave it.

    Args:
        form: that may be anything.
        otherwise: the text where it is no form.
    """
    try:
        return _text(dict(form)) if isinstance(form, Mapping) else otherwise
    except (KeyError, TypeError, ValueError):
        return otherwise


def spoken_all(words: gettext.NullTranslations, data: Any) -> Any:
    """A copy of a result that was never written down, with its told texts in a language."""
    if isinstance(data, Told):
        return spoken(words, data)
    if isinstance(data, Mapping):
        return {key: spoken_all(words, value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [spoken_all(words, value) for value in data]
    return data


def in_language(words: gettext.NullTranslations, result: Any) -> Any:
    """A copy of a result, of any depth, with its told texts in a language.

    Args:
        words: the language's.
        result: as `with_forms` made its parts: `<key>_said` has the form of each told text.
    """
    if isinstance(result, Mapping):
        plain = {key: in_language(words, value) for key, value in result.items()}
        for key, form in result.items():
            if str(key).endswith(SUFFIX) and form is not None:
                plain[str(key)[: -len(SUFFIX)]] = spoken(words, form)
        return plain
    if isinstance(result, (list, tuple)):
        return [in_language(words, value) for value in result]
    return result


def with_forms(holder: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """A part of a result with the plain form of each of these texts beside it."""
    plain = dict(holder)
    for key in keys:
        text = holder[key]
        plain[key] = None if text is None else str(text)
        plain[key + SUFFIX] = text.said if isinstance(text, Told) else None
    return plain


def _text(form: Said) -> Told:
    text = Told(spoken(ENGLISH, form))
    text.said = form
    return text


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: said(value)
        if isinstance(value, str)
        else value
        if isinstance(value, (int, float))
        else str(value)
        for name, value in values.items()
    }
