# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that a client sends in one stream, because rsync costs too much for each of many.

They are written straight into the folder of the commit's session, where no key leads, and are
digested as they arrive: no other process has ever had them open.
"""

from __future__ import annotations

import contextlib
import os

from ..common.errors import ResilienceError
from ..common.messages import _
from ..inventory.packed_stream import END, MOST_HEADER, Header, header_of
from .incoming import ArrivalSession
from .new_names import is_impossible
from .server_store import Store

FULL = _("the disk is full up to its reserve")
# An inventory of so many has more bytes than the gate reads of one.
MOST_FILES = 1_000_000
_READ_BYTES = 1 << 18
# Files between two looks at the room that is left.
_LOOK_FILES = 64


def receive(store: Store, session: ArrivalSession, descriptor: int) -> bytes:
    """Receive files into a session, and return what was read after their end.

    Args:
        store: the copy.
        session: takes the files.
        descriptor: the stream, as `inventory.packed_stream` describes it.

    Raises:
        ResilienceError: it is no such stream, or the disk is full up to its reserve.
        OSError: a file cannot be written.
    """
    stream = _Stream(descriptor)
    waiting = store.incoming_backups()
    count = 0
    while (header := stream.header()) is not None:
        # A file has no more than `MOST_BYTES`, so that the reserve is never missed by much.
        if count % _LOOK_FILES == 0 and store.room() == 0:
            raise ResilienceError(f"No space left on device: {FULL}")
        count += 1
        if count > MOST_FILES:
            raise ResilienceError(_("more packed files than an inventory can list"))
        body = stream.content(header.bytes)
        if not store.accepts(header.path):
            continue  # the inventory rejects it, and says so
        if header.path in waiting:  # an earlier arrival must not replace this one
            del waiting[header.path]
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{store.incoming}/{header.path}")
        try:
            session.add(header.path, body, header.mode, header.mtime_ns)
        except OSError as error:
            if not is_impossible(error):
                raise  # otherwise the inventory misses it, and says so
    return stream.rest()


class _Stream:
    """A packed stream that is being read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        self._at = 0

    def header(self) -> Header | None:
        """Return the next file's header; None at the end of the files."""
        while (end := self._buffer.find(b"\0", self._at)) < 0:
            if len(self._buffer) - self._at > MOST_HEADER:
                raise ResilienceError(_("the packed files cannot be read"))
            self._read_more()
        record = self._buffer[self._at : end]
        self._at = end + 1
        if record == END:
            return None
        try:
            return header_of(record)
        except ValueError as error:
            raise ResilienceError(_("the packed files cannot be read")) from error

    def content(self, size: int) -> bytes:
        """Return the content of the file whose header was read."""
        while len(self._buffer) - self._at < size:
            self._read_more()
        body = self._buffer[self._at : self._at + size]
        self._at += size
        return body

    def rest(self) -> bytes:
        """Return what was read beyond the files."""
        return self._buffer[self._at :]

    def _read_more(self) -> None:
        block = os.read(self._descriptor, _READ_BYTES)
        if not block:
            raise ResilienceError(_("the connection ended before all packed files had arrived"))
        self._buffer = self._buffer[self._at :] + block
        self._at = 0
