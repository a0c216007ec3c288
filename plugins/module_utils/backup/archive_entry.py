# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of an archive's table of contents, small: 3,000 tenants have 240,000 of them and more.

Tenants are alike, so a text is kept without the name of the entry's schema, and equal texts once.
What is kept of a line are numbers; an entry is made of them each time that it is looked at.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional, overload

# Stands for the name of the schema and its dot, and in the name of a file for the entry's number.
# PostgreSQL's texts never contain it.
_SELF = "\0"
# Texts that are looked for when the next one comes: where all differ, they are not worth a place.
MOST_TEXTS = 20_000
# Kind, name, definition, COPY command, whether it has data, file of its data, removal.
_Form = tuple[str, str, str, Optional[str], bool, Optional[str], str]


class _Fields(NamedTuple):
    dump_id: int
    kind: str
    name: str
    schema: str
    owner: str
    definition_text: str
    copy_text: str | None
    has_data: bool
    filename: str | None = None
    needs: bytes = b""
    oid: int = 0
    removal_text: str = ""


class Entry(_Fields):
    """One line of a table of contents; `EntryMaker` makes small ones.

    Attributes:
        dump_id: its number within the archive.
        kind: what it is, as PostgreSQL names it: `TABLE`, `FK CONSTRAINT`, `TABLE DATA`…
        name: its name; for what belongs to a table, the table's name, a space, its own.
        schema: empty for what lies in none.
        owner: the role that owns it.
        has_data: whether data belongs to it in the archive.
        filename: of its data in a directory or tar archive.
        needs: `depends_on` as text, separated by blanks.
        oid: of the object in the database that was dumped; 0 in a plain dump.
    """

    __slots__ = ()

    @property
    def definition(self) -> str:
        """Return the SQL that makes it."""
        return self._whole(self.definition_text)

    @property
    def copy_statement(self) -> str | None:
        """Return the COPY command before a table's rows; None where there is none."""
        return None if self.copy_text is None else self._whole(self.copy_text)

    @property
    def removal(self) -> str:
        """Return the SQL that drops it, of kinds that their name alone does not identify."""
        return self._whole(self.removal_text)

    @property
    def depends_on(self) -> tuple[int, ...]:
        """Return the entries that must be restored before it; none in a plain dump."""
        return tuple(map(int, self.needs.split()))

    def _whole(self, text: str) -> str:
        return text.replace(_SELF, self.schema + ".") if _SELF in text else text


class EntryMaker:
    """Makes the entries of one archive, which share their texts."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def make(
        self,
        dump_id: int,
        kind: str,
        name: str,
        schema: str,
        owner: str,
        definition: str,
        copy_statement: str | None,
        has_data: bool,
        filename: str | None = None,
        needs: bytes = b"",
        oid: int = 0,
        removal: str = "",
    ) -> Entry:
        """Return an entry; the arguments are its attributes."""
        schema = sys.intern(schema)
        return Entry(
            dump_id,
            sys.intern(kind),
            self._shared(name),
            schema,
            sys.intern(owner),
            self._shared(definition, schema),
            None if copy_statement is None else self._shared(copy_statement, schema),
            has_data,
            filename,
            needs,
            oid,
            self._shared(removal, schema),
        )

    def _shared(self, text: str, schema: str = "") -> str:
        if schema:
            text = text.replace(schema + ".", _SELF)
        if len(self._texts) < MOST_TEXTS:
            return self._texts.setdefault(text, text)
        return self._texts.get(text, text)


class Entries(Sequence[Entry]):
    """Entries in their order, each a few numbers of four bytes; those of `EntryMaker` share texts.

    Args:
        entries: the first ones.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        # Four bytes hold what PostgreSQL's own numbers may be (Oid, and an int for DumpId).
        self._ids, self._oids = array("I"), array("I")
        # For each entry the number of its form, and that of its place; where its needs end.
        self._form_of, self._place_of, self._ends = array("I"), array("I"), array("I")
        self._needs = bytearray()
        # What tenants have alike, and the schema and owner that each has for itself.
        self._forms: list[_Form] = []
        self._places: list[tuple[str, str]] = []
        self._known_forms: dict[_Form, int] = {}
        self._known_places: dict[tuple[str, str], int] = {}
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add an entry.

        Raises:
            OverflowError: it has a number that PostgreSQL never gives.
        """
        self._ids.append(entry.dump_id)
        self._oids.append(entry.oid)
        file = entry.filename and entry.filename.replace(str(entry.dump_id), _SELF)
        form = (
            *(entry.kind, entry.name, entry.definition_text, entry.copy_text, entry.has_data),
            *(file, entry.removal_text),
        )
        number = self._known_forms.get(form)
        if number is None:
            number = len(self._forms)
            self._forms.append(form)
            if number < MOST_TEXTS:
                self._known_forms[form] = number
        self._form_of.append(number)
        place = (entry.schema, entry.owner)
        number = self._known_places.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
        self._place_of.append(number)
        self._needs += entry.needs
        self._ends.append(len(self._needs))

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Entry]:
        forms, places, start = self._forms, self._places, 0
        numbers = zip(self._ids, self._oids, self._form_of, self._place_of, self._ends)
        for dump_id, oid, form, place, end in numbers:
            needs = bytes(self._needs[start:end])
            yield _entry(dump_id, oid, forms[form], places[place], needs)
            start = end

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...

    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        start = self._ends[at - 1] if at else 0
        return _entry(
            self._ids[at],
            self._oids[at],
            self._forms[self._form_of[at]],
            self._places[self._place_of[at]],
            bytes(self._needs[start : self._ends[at]]),
        )


def _entry(
    dump_id: int,
    oid: int,
    form: _Form,
    place: tuple[str, str],
    needs: bytes,
) -> Entry:
    kind, name, definition, copy, has_data, file, removal = form
    schema, owner = place
    if file:
        file = file.replace(_SELF, str(dump_id))
    return Entry(
        dump_id, kind, name, schema, owner, definition, copy, has_data, file, needs, oid, removal
    )
