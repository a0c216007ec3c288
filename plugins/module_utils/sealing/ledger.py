# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of what was sealed for one copy: plain and sealed digests, and the last link.

A file of lines, to which each is added before what it announces is done. A line that a kill cut off
is the last one and ends without a line break: it announces something that was not done. Any other
line that cannot be read, or whose checksum is wrong, is damage. After damage a new chain begins:
which number was the last one is not sure any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any

from ..common.files import replaced_file
from .ledger_items import SENT, LedgerItem, LedgerItems, line_of, values_of
from .positions import Position

# The file is written anew when it has so many lines more than it needs.
MOST_SPARE = 500
_LAST_MARK = b'{"last": '
# Bytes that are read at a time, and items that are written.
_BLOCK, _PART = 1 << 20, 1000
# What a line that is damaged raises.
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError,
)  # fmt: skip
# Of an item whose line does not name its chain, where the ledger was damaged.
_UNKNOWN_CHAIN = "-"


def last_position(path: str) -> str:
    """Return the position of the last link in a ledger, which is not read whole for it."""
    try:
        with open(path, "rb") as file:
            line = _last_link_line(file)
    except OSError:
        return ""
    if not line.endswith(b"\n"):
        return ""
    try:
        return str(Position.from_text(values_of(line[:-1])["last"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _last_link_line(file: IO[bytes]) -> bytes:
    """Return the last line that begins as one of a link does; from its end the file is read."""
    mark = b"\n" + _LAST_MARK
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        block = (b"" if begin else b"\n") + file.read(end - begin)
        found = block.rfind(mark)
        if found >= 0:
            file.seek(begin + found + (1 if begin else 0))
            return file.readline(_BLOCK)
        # The mark may stand across two blocks.
        end = begin + len(mark) - 1 if begin else 0
    return b""


class SealLedger:
    """The ledger of one copy.

    Args:
        path: its file.

    Attributes:
        items: what is known, by path.
        last: position of the last link; None before the first.
        cut_off: whether the last line was cut off.
        damaged: how many lines cannot be read.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.last: Position | None = None
        self.cut_off = False
        self.damaged = 0
        self._lines = 0
        # One backup is sealed while another one is sent.
        self._writing = threading.RLock()
        self.items = LedgerItems(_open(path))
        self._load()

    def _load(self) -> None:
        for start, line in self.items.lines():
            if not line.endswith(b"\n"):
                self.cut_off = True
                break
            self._lines += 1
            try:
                self._apply(values_of(line[:-1]), start, len(line) - 1)
            except _DAMAGE:
                self.damaged += 1
        if self.damaged:
            self.last = None
        self.items.unnamed_chain = self.last.chain if self.last else _UNKNOWN_CHAIN

    def _apply(self, values: dict[str, Any], start: int, length: int) -> None:
        if "last" in values:
            self.last = Position.from_text(values["last"])
        elif "dropped" in values:
            self.items.forget(str(values["dropped"]))
        else:
            self.items.note(LedgerItem.from_dict(values["item"]), start, length)

    @property
    def last_sent(self) -> Position | None:
        """Position of the newest link that is known to be in its place; its digest is not known."""
        if self.last is None:
            return None
        number = self.items.highest_number(SENT, self.last.chain)
        return Position(self.last.chain, number) if number else None

    def add_link(self, position: Position) -> None:
        """Write down the last link, before anything is sent that holds it.

        Raises:
            OSError: it cannot be written, so nothing may be sent.
        """
        with self._writing:
            self._append([line_of({"last": str(position)})])
            self.last = position

    def add(self, items: Iterable[LedgerItem]) -> None:
        """Write down items.

        Raises:
            OSError: they cannot be written, so nothing may be sent.
        """
        with self._writing:
            listed = list(items)
            lines = [line_of({"item": item.to_dict()}) for item in listed]
            start = self._append(lines)
            for item, line in zip(listed, lines):
                self.items.note(item, start, len(line) - 1)
                start += len(line)

    def mark(self, paths: Iterable[str], state: str) -> None:
        """Write down the new state of items."""
        for some in _parts(paths):
            known = [one for path in some if (one := self.items.in_other_state(path, state))]
            self.add(dataclasses.replace(item, state=state) for item in known)

    def drop(self, paths: Iterable[str]) -> None:
        """Forget items."""
        for some in _parts(paths):
            with self._writing:
                known = [path for path in some if path in self.items]
                self._append([line_of({"dropped": path}) for path in known])
                for path in known:
                    self.items.forget(path)

    def _append(self, lines: list[bytes]) -> int:
        """Add lines to the file, and return where the first one stands."""
        if not lines:
            return 0
        # A file that a person took away is written anew, too.
        is_spare = self._lines > 2 * len(self.items) + MOST_SPARE
        if self.cut_off or self.damaged or is_spare or not self.items.is_of(self.path):
            self._rewrite()
        body = b"".join(lines)
        number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(number, "ab", buffering=0) as file:
            size = os.fstat(number).st_size
            try:
                if file.write(body) != len(body):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
                os.fsync(number)
            except OSError:
                with contextlib.suppress(OSError):  # half a line would make the next ones damage
                    os.ftruncate(number, size)
                raise
        self._lines += len(lines)
        return size

    def _rewrite(self) -> None:
        """Write the file anew with what it must hold, item by item."""
        before, fresh, end = self.items, LedgerItems(-1), 0
        if self.damaged:
            with contextlib.suppress(OSError):
                os.replace(self.path, f"{self.path}.damaged")
        with replaced_file(self.path) as file:
            for item in before.values():
                line = line_of({"item": item.to_dict()})
                file.write(line)
                fresh.note(item, end, len(line) - 1)
                end += len(line)
            if self.last:
                file.write(line_of({"last": str(self.last)}))
        fresh.adopt(_open(self.path))
        fresh.unnamed_chain = before.unnamed_chain
        self.items, self.cut_off, self.damaged = fresh, False, 0
        self._lines = len(fresh) + bool(self.last)


def _open(path: str) -> int:
    """Return the number of the open file; below 0 where there is none.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _parts(paths: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(paths)
    while some := list(islice(remaining, _PART)):
        yield some
