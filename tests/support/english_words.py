"""English of the engine's own messages in a text that should be in another language."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from babel.messages.pofile import read_po

CATALOGUE = (
    Path(__file__).resolve().parents[2]
    / "plugins/module_utils/locale/pt_BR/LC_MESSAGES/chefwell_resilience.po"
)
# A value in a message, and what a page may break or quote.
_VALUE = re.compile(r"%\(\w+\)[a-z]|%%|`")


@functools.cache
def fragments() -> tuple[str, ...]:
    """Return what stands between the values of every message: two words or more, English alone."""
    with CATALOGUE.open("rb") as file:
        messages = list(read_po(file))
    portuguese = " ".join(_words(text) for one in messages for text in _texts(one.string))
    found = {
        _words(part)
        for one in messages
        if one.id and one.id != one.string
        for text in _texts(one.id)
        for part in _VALUE.split(text)
    }
    return tuple(sorted(one for one in found if one.count(" ") and one not in portuguese))


def _texts(message: object) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message or ())  # type: ignore[arg-type]


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def english(text: str) -> list[str]:
    """Return the pieces of English messages in a text; paths are left out."""
    words = f" {_words(re.sub(r'(?<!<)/[^ ]*', ' ', text))} "
    return [one for one in fragments() if f" {one} " in words]
