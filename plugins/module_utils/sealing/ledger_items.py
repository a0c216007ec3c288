# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ledger of sealed backups knows of each one, as a line of its file and in memory.

A line has some 700 bytes, and read into objects ten times as much. In memory is only where the last
line of each backup stands, with what is looked at most often: about a hundred bytes a backup. The
rest is read from the file when it is needed.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..inventory.path_block import RowForm
from ..inventory.path_table import PathTable
from .links import Content

# Of an item: sealed and waiting in the spool folder; arrived at the server; in its place there.
MADE, DELIVERED, SENT = "made", "delivered", "sent"
_STATES = (MADE, DELIVERED, SENT)
# Before the checksum of a line, which lines of earlier versions do not have.
_CHECK_MARK = b', "check": "'
# Paths that one step of an iteration looks up.
_PART = 1000


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
            state=_state(values["state"]),
            local=(str(local[0]), int(local[1])) if local else None,
            chain=str(values.get("chain", "")),
            signer=str(values.get("signer", "")),
        )


def _state(text: Any) -> str:
    if text not in _STATES:
        raise ValueError(text)
    return str(text)


def line_of(values: Mapping[str, Any]) -> bytes:
    """Return a line of the file."""
    body = json.dumps(values).encode("ascii")[:-1]
    return body + _CHECK_MARK + b'%08x"}\n' % zlib.crc32(body)


def values_of(line: bytes) -> dict[str, Any]:
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


class ItemRow(NamedTuple):
    """What is in memory of an item.

    Attributes:
        start, length: of its line in the file.
        number, state, local_bytes: as of `LedgerItem`; the state counts from `MADE`.
        chain: of the item, counted in the order in which chains were met.
    """

    start: int
    length: int
    number: int
    state: int
    local_bytes: int
    chain: int

    @property
    def has_left(self) -> bool:
        """Whether it has arrived at the server, as far as this host knows."""
        return self.state > 0


_NUMBER, _STATE, _CHAIN = 2, 3, 5
_ROWS: RowForm[ItemRow] = RowForm(
    "QIqbqI", lambda row: row, lambda _path, *fields: ItemRow(*fields)
)


class LedgerItems(Mapping[str, LedgerItem]):
    """The items of a ledger by path, each read from its file when it is needed.

    Several threads may use it at a time.

    Args:
        number: of the open file, which is closed with this object.
    """

    def __init__(self, number: int) -> None:
        self._file = number
        self._rows: PathTable[ItemRow] = PathTable(_ROWS)
        self._chains = {"": 0}
        self._lock = threading.RLock()
        # Of items whose line does not name their chain.
        self.unnamed_chain = ""

    def __del__(self) -> None:
        self._close()

    def adopt(self, number: int) -> None:
        """Read from another open file, in which the same lines stand."""
        with self._lock:
            self._close()
            self._file = number

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def is_of(self, path: str) -> bool:
        """Return whether a path leads to the file that is read."""
        try:
            return self._file >= 0 and os.path.samestat(os.stat(path), os.fstat(self._file))
        except OSError:
            return False

    def note(self, item: LedgerItem, start: int, length: int) -> None:
        """Remember where the line of an item stands.

        Raises:
            OverflowError, ValueError: it holds a number that none has.
        """
        with self._lock:
            chain = self._chains.setdefault(item.chain, len(self._chains))
            state = _STATES.index(item.state)
            self._rows[item.path] = ItemRow(
                start, length, item.number, state, item.local_bytes, chain
            )

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each line of the file, with its end, and where it stands."""
        if self._file < 0:
            return
        start = 0
        with open(os.dup(self._file), "rb") as file:
            for line in file:
                yield start, line
                start += len(line)

    def in_other_state(self, path: str, state: str) -> LedgerItem | None:
        """Return the item of a path if it is in another state."""
        with self._lock:
            row = self.row(path)
            if row is None or row.state == _STATES.index(state):
                return None
            return self._read(row)

    def forget(self, path: str) -> None:
        """Forget an item, if it is there."""
        with self._lock:
            self._rows.pop(path, None)

    def row(self, path: str) -> ItemRow | None:
        """Return what is in memory of an item; None where there is none."""
        with self._lock:
            found: ItemRow | None = self._rows.get(path)
            return found

    def paths_in(self, state: str) -> list[str]:
        """Return the paths of the items in one state."""
        at_state = _STATES.index(state)
        with self._lock:
            states = self._rows.column(_STATE)
            return [self._rows.path_at(at) for at, one in enumerate(states) if one == at_state]

    def highest_number(self, state: str, chain: str) -> int:
        """Return the highest number of the items of a chain in one state; 0 where there is none."""
        at_state = _STATES.index(state)
        with self._lock:
            chains = {self._chains.get(chain, -1)}
            if chain == self.unnamed_chain:
                chains.add(0)
            rows = zip(*(self._rows.column(one) for one in (_NUMBER, _STATE, _CHAIN)))
            return max(
                (number for number, state, own in rows if state == at_state and own in chains),
                default=0,
            )

    def get(self, key: str, default: Any = None) -> Any:
        """Return the item of a path, or the default."""
        with self._lock:
            row = self._rows.get(key)
            return default if row is None else self._read(row)

    def __getitem__(self, path: str) -> LedgerItem:
        with self._lock:
            return self._read(self._rows[path])

    def _read(self, row: ItemRow) -> LedgerItem:
        try:
            line = os.pread(self._file, row.length, row.start)
            item = LedgerItem.from_dict(values_of(line)["item"])
        except OSError as error:
            raise _unreadable(error) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _unreadable(OSError(errno.EIO, os.strerror(errno.EIO))) from error
        return item if item.chain else dataclasses.replace(item, chain=self.unnamed_chain)

    def __contains__(self, path: object) -> bool:
        with self._lock:
            return path in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        """Yield the paths in their order; items may be added meanwhile."""
        last = ""
        while True:
            with self._lock:
                some = self._rows.following(last, _PART)
            if not some:
                return
            yield from some
            last = some[-1]


def _unreadable(error: OSError) -> ResilienceError:
    return ResilienceError(
        _("the ledger of sealed backups cannot be read: %(why)s", why=reason(error)),
        option="state_dir",
        remedy=_("look at the disk of that folder"),
    )
