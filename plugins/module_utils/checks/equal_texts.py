# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many texts that say the same about several schemas, counted once.

A fault in the code of a product is in every tenant: eighty errors, of which one says it all.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ..common.messages import Message, join, ngettext

# Up to so many texts are shown as they are, unless one is longer than so many characters.
MOST_NAMED = 5
SHORT = 100
# So much of a text is compared: a long one was cut where the names in it let it be.
COMPARED = 240
# The first part of a dotted name: the schema in `tenant_x.orders`.
_SCHEMA = re.compile(r'(?<![\w$."])("[^"]+"|[\w$]+)\.(?=["\w$])')
# What differs between texts of one kind: numbers, and the values of a key in PostgreSQL's details.
_VALUES = re.compile(r"\)=\(.*?\)(?= )|\d+")


@dataclasses.dataclass(frozen=True)
class EqualTexts:
    """Texts of one kind.

    Attributes:
        first: the first of them.
        count: how many there are.
        schemas: of each but the first; empty where they do not differ by one schema each.
    """

    first: str
    count: int
    schemas: tuple[str, ...] = ()

    def more(self) -> Message:
        """Return how many others there are, and in which schemas."""
        rest = self.count - 1
        if not self.schemas:
            return ngettext(
                "of the same kind: %(count)d more", "of the same kind: %(count)d more", rest
            )
        names = join(self.schemas[:MOST_NAMED])
        if rest > MOST_NAMED:
            names = join([*self.schemas[:MOST_NAMED], "…"])
        return ngettext(
            "of the same kind in %(count)d more schema: %(names)s",
            "of the same kind in %(count)d more schemas: %(names)s",
            rest,
            names=names,
        )

    def lines(self) -> list[str]:
        """Return the first text, and how many others there are."""
        return [self.first, self.more()] if self.count > 1 else [self.first]

    def line(self) -> str:
        """Return both as one sentence."""
        if self.count == 1:
            return self.first
        first = self.first if isinstance(self.first, Message) else self.first.rstrip("; ")
        return join([first, self.more()], "; ")


def grouped(texts: Sequence[str], subjects: Sequence[str] = ()) -> list[EqualTexts]:
    """Return texts by kind, in the order of the first of each; few texts are a kind each.

    Args:
        texts: findings or errors.
        subjects: what each is about, as in `Finding`.
    """
    if len(texts) <= MOST_NAMED and all(len(text) <= SHORT for text in texts):
        return [EqualTexts(text, 1) for text in texts]
    kinds: dict[str, list[tuple[str, list[str]]]] = {}
    for number, text in enumerate(texts):
        kind, schemas = _kind(str(text), subjects[number] if subjects else "")
        kinds.setdefault(kind, []).append((text, schemas))
    return [_equal(kind) for kind in kinds.values()]


def _kind(text: str, subject: str) -> tuple[str, list[str]]:
    """Return what a text says of any schema, and the schemas that it names."""
    schemas: list[str] = []

    def without(match: re.Match[str]) -> str:
        schemas.append(match[1].strip('"'))
        return "*."

    kind = _SCHEMA.sub(without, text)
    schema = subject.partition(".")[0]
    if schema:
        kind, found = re.subn(rf"(?<![\w$]){re.escape(schema)}(?![\w$])", "*", kind)
        schemas += [schema] * bool(found)
    return _VALUES.sub("#", kind)[:COMPARED], schemas


def _equal(kind: Sequence[tuple[str, list[str]]]) -> EqualTexts:
    named = [schemas for _text, schemas in kind]
    for schemas in zip(*named):  # the first place where they differ
        if len(set(schemas)) == len(kind) > 1:
            return EqualTexts(kind[0][0], len(kind), schemas[1:])
    return EqualTexts(kind[0][0], len(kind))
