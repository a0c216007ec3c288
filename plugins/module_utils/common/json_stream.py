# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON with an object of very many members, or a list: read and written part by part.

Such a member is a file's entry in an inventory or a ledger. Read at once, half a million of them
take a gigabyte.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from .files import replaced_file
from .mask import mask

# Called with the key and the value of each member of an object.
Take = Callable[[str, Any], object]
_PART = 1 << 18
# A single value longer than this is in no file of this collection.
_MOST_VALUE = 64 << 20
_FIRST_MEMBERS, _PART_MEMBERS = 50, 4000
_NUMBER_GOES_ON = "0123456789.eE+-"
_SPACE = " \t\n\r"
# How the members end that this collection writes most of.
_MEMBER_END = '], "'


def load(file: IO[str], large: Mapping[tuple[str, ...], Take]) -> Any:
    """Return the value of a JSON file, without the members of large objects.

    Args:
        file: opened as text.
        large: by the keys that lead to a large object, what takes its members one by one. In the
            returned value it is an empty object; what is no object there is returned as it is.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    reader = _Reader(file, large)
    try:
        value = reader.value_at(())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    reader.expect_end()
    return value


class _Reader:
    def __init__(self, file: IO[str], large: Mapping[tuple[str, ...], Take]) -> None:
        self._file = file
        self._large = large
        # The keys on the way to a large object.
        self._ways = {keys[:count] for keys in large for count in range(len(keys) + 1)}
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False

    def _more(self) -> bool:
        """Read on; return whether there was anything."""
        left = self._text[self._at :]
        block = "" if self._ended else self._file.read(max(_PART, len(left)))
        self._ended = not block
        self._text, self._at = left + block, 0
        return bool(block)

    def _next(self) -> str:
        """Return the next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _skip(self, character: str) -> None:
        if self._next() != character:
            raise ValueError(f"{character!r} is missing")
        self._at += 1

    def expect_end(self) -> None:
        """Raise ValueError where more follows."""
        if self._next():
            raise ValueError("more follows behind the value")

    def value_at(self, keys: tuple[str, ...]) -> Any:
        """Return the next value, to which these keys lead."""
        if keys not in self._ways or self._next() != "{":
            return self._value()
        take = self._large.get(keys)
        if take:
            self._members(take)
            return {}
        found = {}
        for key in self._keys():
            found[key] = self.value_at((*keys, key))
        return found

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except (StopIteration, ValueError) as error:
                if len(self._text) - self._at < _MOST_VALUE and self._more():
                    continue
                raise ValueError(str(error)) from error
            # A number may go on in the next part.
            is_whole = end < len(self._text) and self._text[end] not in _NUMBER_GOES_ON
            if is_whole or not self._more():
                self._at = min(end, len(self._text))
                return value

    def _keys(self) -> Iterator[str]:
        """Yield the keys of an object, each when its value is next."""
        self._skip("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            yield self._key()
            if self._next() != ",":
                self._skip("}")
                return
            self._at += 1

    def _key(self) -> str:
        if self._next() != '"':
            raise ValueError("a key is missing")
        key = str(self._value())
        self._skip(":")
        return key

    def _members(self, take: Take) -> None:
        tried = ""  # the text of which whole parts were tried in vain
        for key in self._keys():
            take(key, self._value())
            while self._text is not tried and self._next() == ",":
                if not self._part(take):
                    tried = self._text
        # An object that ends is left by `_keys`.

    def _part(self, take: Take) -> bool:
        """Take the members up to the last whole one of the text, which `_at` is before."""
        begin = self._at + 1
        end = self._text.rfind(_MEMBER_END, begin)
        if end < 0:
            return False
        try:
            # Only with a whole number of members it is JSON.
            members = json.loads("{" + self._text[begin : end + 1] + "}")
        except ValueError:
            return False
        for key, value in members.items():
            take(key, value)
        self._at = end + 1
        return bool(members)


def parts(value: Any) -> Iterator[str]:
    """Yield a value as JSON, part by part.

    A mapping in it that is no dict, and a sequence that is no list, is written without ever being
    in memory as a whole.
    """
    if _is_large(value):
        yield from _mapping_parts(value) if isinstance(value, Mapping) else _item_parts(value)
    elif not _holds_large(value):
        yield json.dumps(value)
    elif isinstance(value, dict):
        before = "{"
        for key, one in value.items():
            yield f"{before}{json.dumps(str(key))}: "
            yield from parts(one)
            before = ", "
        yield "}"
    else:
        before = "["
        for one in value:
            yield before
            yield from parts(one)
            before = ", "
        yield "]"


def _is_large(value: Any) -> bool:
    is_plain = isinstance(value, (dict, list, tuple, str))
    return not is_plain and isinstance(value, (Mapping, Sequence))


def _holds_large(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_large, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_large, value))
    return _is_large(value)


def _mapping_parts(value: Mapping[str, Any]) -> Iterator[str]:
    before, remaining, count = "{", iter(value.items()), _FIRST_MEMBERS
    while members := dict(itertools.islice(remaining, count)):
        part = before + json.dumps(members)[1:-1]
        yield part
        before, count = ", ", max(1, min(_PART_MEMBERS, count * _PART // len(part)))
    yield "}" if before == ", " else "{}"


def _item_parts(value: Sequence[Any]) -> Iterator[str]:
    before, remaining = "[", iter(value)
    while items := list(itertools.islice(remaining, _PART_MEMBERS)):
        yield before + json.dumps(items)[1:-1]
        before = ", "
    yield "]" if before == ", " else "[]"


def replace(path: str, value: Any) -> None:
    """Replace a file with a value as JSON, secrets masked, as `files.replace_json`.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    with replaced_file(path) as file:
        for part in parts(value):
            file.write(mask(part).encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[str]]:
    """Open a JSON file to be read by `load`.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        yield file
