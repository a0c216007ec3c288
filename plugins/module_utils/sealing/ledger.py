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
import json
import os
import threading
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..common import json_text
from ..common.files import replace_file
from .links import Content
from .positions import Position

# Of an item: sealed and waiting in the spool folder; arrived at the server; in its place there.
MADE, DELIVERED, SENT = "made", "delivered", "sent"
# The file is written anew when it has so many lines more than it needs.
MOST_SPARE = 500
_LAST_MARK = b'{"last": '
# Before the checksum of a line, which lines of earlier versions do not have.
_CHECK_MARK = b', "check": "'
# Of an item whose line does not name its chain, where the ledger was damaged.
_UNKNOWN_CHAIN = "-"


@dataclasses.dataclass(frozen=True)
class LedgerItem:
    """What is known of one sealed backup.

    Attributes:
        path: of the backup in the tree.
        mtime_ns: its time of change when it was sealed, nanoseconds.
        content: of the backup.
        beside: content of what was sealed with it, by ending.
        link: SHA-256 and bytes of the file of its link.
        number: of its link.
        recipients: fingerprint of the recipients that it was sealed for.
        state: `MADE`, `DELIVERED` or `SENT`.
        local: SHA-256 and bytes of the file in the tree: of `content`, or of the sealed file where
            the backup lies sealed there. None in ledgers of earlier versions, which knew only the
            former.
        chain: of its link; empty in ledgers of earlier versions, which have one chain each.
        signer: names the key that signed its link; empty in ledgers of earlier versions.
    """

    path: str
    mtime_ns: int
    content: Content
    beside: Mapping[str, Content]
    link: tuple[str, int]
    number: int
    recipients: str
    state: str = MADE
    local: tuple[str, int] | None = None
    chain: str = ""
    signer: str = ""

    @property
    def local_sha256(self) -> str:
        """SHA-256 of the file in the tree."""
        return self.local[0] if self.local else self.content.sha256

    @property
    def local_bytes(self) -> int:
        """Size of the file in the tree."""
        return self.local[1] if self.local else self.content.bytes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as a line holds them."""
        return {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "content": self.content.to_list(),
            "beside": {ending: one.to_list() for ending, one in self.beside.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LedgerItem:
        """Return the item of which `to_dict` returned these values."""
        local = values.get("local")
        return cls(
            path=str(values["path"]),
            mtime_ns=int(values["mtime_ns"]),
            content=Content.from_list(values["content"]),
            beside={str(end): Content.from_list(one) for end, one in values["beside"].items()},
            link=(str(values["link"][0]), int(values["link"][1])),
            number=int(values["number"]),
            recipients=str(values["recipients"]),
            state=str(values["state"]),
            local=(str(local[0]), int(local[1])) if local else None,
            chain=str(values.get("chain", "")),
            signer=str(values.get("signer", "")),
        )


def _line(values: Mapping[str, Any]) -> bytes:
    """Return a line of the file."""
    body = json.dumps(values).encode("ascii")[:-1]
    return body + _CHECK_MARK + b'%08x"}\n' % zlib.crc32(body)


def _values(line: bytes) -> dict[str, Any]:
    """Return what a line holds.

    Raises:
        ValueError, RecursionError: it is damaged.
    """
    body, mark, check = line.rpartition(_CHECK_MARK)
    if mark and check != b'%08x"}' % zlib.crc32(body):
        raise ValueError(line)
    found = json_text.loads(line)
    if not isinstance(found, dict):
        raise ValueError(line)
    return found


def last_position(path: str) -> str:
    """Return the position of the last link in a ledger, which is not read whole for it."""
    try:
        with open(path, "rb") as file:
            body = file.read()
    except OSError:
        return ""
    start = body.rfind(_LAST_MARK)
    line, ended, _rest = body[max(start, 0) :].partition(b"\n")
    if start > 0 and body[start - 1 : start] != b"\n" or start < 0 or not ended:
        return ""
    try:
        return str(Position.from_text(_values(line)["last"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


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
        self.items: dict[str, LedgerItem] = {}
        self.last: Position | None = None
        self.cut_off = False
        self.damaged = 0
        self._lines = 0
        # One backup is sealed while another one is sent.
        self._writing = threading.RLock()
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            self._read(file.read())

    def _read(self, body: bytes) -> None:
        *lines, rest = body.split(b"\n")
        self.cut_off = bool(rest)
        self._lines = len(lines)
        for line in lines:
            try:
                self._apply(_values(line))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
                self.damaged += 1
        if self.damaged:
            self.last = None
        chain = self.last.chain if self.last else _UNKNOWN_CHAIN
        for path, item in self.items.items():
            if not item.chain:
                self.items[path] = dataclasses.replace(item, chain=chain)

    def _apply(self, values: Mapping[str, Any]) -> None:
        if "last" in values:
            self.last = Position.from_text(values["last"])
        elif "dropped" in values:
            self.items.pop(str(values["dropped"]), None)
        else:
            item = LedgerItem.from_dict(values["item"])
            self.items[item.path] = item

    @property
    def last_sent(self) -> Position | None:
        """Position of the newest link that is known to be in its place; its digest is not known."""
        if self.last is None:
            return None
        chain = self.last.chain
        sent = (one for one in self.items.values() if one.state == SENT and one.chain == chain)
        number = max((item.number for item in sent), default=0)
        return Position(chain, number) if number else None

    def add_link(self, position: Position) -> None:
        """Write down the last link, before anything is sent that holds it.

        Raises:
            OSError: it cannot be written, so nothing may be sent.
        """
        with self._writing:
            self.last = position
            self._append([{"last": str(position)}])

    def add(self, items: Iterable[LedgerItem]) -> None:
        """Write down items.

        Raises:
            OSError: they cannot be written, so nothing may be sent.
        """
        with self._writing:
            listed = list(items)
            for item in listed:
                self.items[item.path] = item
            self._append([{"item": item.to_dict()} for item in listed])

    def mark(self, paths: Iterable[str], state: str) -> None:
        """Write down the new state of items."""
        known = [self.items[path] for path in paths if path in self.items]
        self.add(dataclasses.replace(item, state=state) for item in known if item.state != state)

    def drop(self, paths: Iterable[str]) -> None:
        """Forget items."""
        with self._writing:
            known = [path for path in paths if self.items.pop(path, None)]
            self._append([{"dropped": path} for path in known])

    def _append(self, lines: list[dict[str, Any]]) -> None:
        if not lines:
            return
        if self.cut_off or self.damaged or self._lines > 2 * len(self.items) + MOST_SPARE:
            self._rewrite()
            return
        body = b"".join(map(_line, lines))
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

    def _rewrite(self) -> None:
        lines: list[dict[str, Any]] = [{"item": item.to_dict()} for item in self.items.values()]
        if self.last:
            lines.append({"last": str(self.last)})
        if self.damaged:
            with contextlib.suppress(OSError):
                os.replace(self.path, f"{self.path}.damaged")
        replace_file(self.path, b"".join(map(_line, lines)))
        self._lines, self.cut_off, self.damaged = len(lines), False, 0
