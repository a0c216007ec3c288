# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The spool folder: backups are sealed into it for the time of sending, and nothing stays there.

Each backup gets its signed link here. What is sealed is written to the ledger before it is sent, so
that a run that was killed is continued with the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..common import json_text
from ..common.files import replace_file
from ..inventory import backup_names, sealed_names, tree_digests
from . import age, links
from .keys import SealKeys
from .ledger import MADE, LedgerItem, SealLedger
from .links import MOST_PRESENT, Content, Link

_UTC = "%Y-%m-%dT%H:%M:%S+00:00"


class SpooledBackup(NamedTuple):
    """A backup that lies sealed in the spool folder.

    Attributes:
        path: of the backup in the tree.
        mtime_ns: its time of change.
        content, beside: of the backup, and of what lies beside it by ending.
        item: of the ledger, where an earlier run announced it already.
    """

    path: str
    mtime_ns: int
    content: Content
    beside: Mapping[str, Content]
    item: LedgerItem | None = None


class Spool:
    """The spool folder of one copy.

    Args:
        folder: is made with mode 0700 when it is needed.
        keys: of this host.
        ledger: of the copy.
        pattern: of the names of backups.
        time_limit: seconds for sealing one file.
    """

    def __init__(
        self, folder: str, keys: SealKeys, ledger: SealLedger, pattern: str, time_limit: float
    ) -> None:
        self.folder = folder
        self.keys = keys
        self.ledger = ledger
        self.pattern = backup_names.compiled(pattern)
        self.time_limit = time_limit

    def seal(self, root: str, path: str) -> SpooledBackup:
        """Seal a backup and what lies beside it; `announce` must follow before it is sent.

        Args:
            root: the backup tree.
            path: of the backup in it.

        Raises:
            age.ChangedFile: it changed meanwhile.
            ResilienceError: age is missing or failed.
            OSError: a file cannot be read or written.
        """
        source = os.path.join(root, path)
        mtime_ns = os.lstat(source).st_mtime_ns
        waiting = self._waiting(root, path)
        if waiting:
            return SpooledBackup(path, mtime_ns, waiting.content, waiting.beside, waiting)
        self._make(os.path.dirname(path))
        content = self._seal_one(source, sealed_names.sealed(path))
        beside = {}
        for ending in sealed_names.BESIDE:
            if os.path.isfile(source + ending) and not os.path.islink(source + ending):
                beside[ending] = self._seal_one(source + ending, sealed_names.sealed(path + ending))
        return SpooledBackup(path, mtime_ns, content, beside)

    def announce(self, root: str, spooled: SpooledBackup) -> LedgerItem:
        """Sign the link of a sealed backup, write both down, and return the ledger's item.

        Raises:
            ResilienceError: ssh-keygen is missing or failed.
            OSError: a file cannot be written.
        """
        if spooled.item:
            return spooled.item
        path, mtime_ns = spooled.path, spooled.mtime_ns
        link = self._link(root, spooled)
        body = link.file_content(self.keys.signing_key)
        target = os.path.join(self.folder, sealed_names.link(path))
        replace_file(target, body, durable=False)
        os.utime(target, ns=(mtime_ns, mtime_ns))
        item = LedgerItem(
            path=path,
            mtime_ns=mtime_ns,
            content=spooled.content,
            beside=spooled.beside,
            link=(hashlib.sha256(body).hexdigest(), len(body)),
            number=link.number,
            recipients=self.keys.fingerprint,
        )
        self.ledger.add_link(link.position)
        self.ledger.add([item])
        return item

    def _seal_one(self, source: str, name: str) -> Content:
        done = age.seal(
            source,
            os.path.join(self.folder, name),
            self.keys.recipients_file,
            time_limit=self.time_limit,
        )
        return Content(done.sha256, done.bytes, done.sealed_sha256, done.sealed_bytes)

    def _waiting(self, root: str, path: str) -> LedgerItem | None:
        """Return the item of a backup that an earlier run sealed and did not send."""
        item = self.ledger.items.get(path)
        if item is None or item.state != MADE or item.recipients != self.keys.fingerprint:
            return None
        with contextlib.suppress(OSError):
            now = os.lstat(os.path.join(root, path))
            if (now.st_size, now.st_mtime_ns) == (item.content.bytes, item.mtime_ns):
                found = {name: digest for name, (digest, _size) in files_of(item).items()}
                if all(
                    tree_digests.sha256(os.path.join(self.folder, name)) == digest
                    for name, digest in found.items()
                ):
                    return item
        return None

    def _link(self, root: str, spooled: SpooledBackup) -> Link:
        """Return the next link, not yet written down."""
        path, content, beside = spooled.path, spooled.content, spooled.beside
        now = time.gmtime()
        last = self.ledger.last
        began = time.strftime("%Y%m%dT%H%M%SZ", now)
        chain = last.chain if last else f"{began}-{secrets.token_hex(4)}"
        number = last.number + 1 if last else 1
        present = {
            one.path: one.number
            for one in list(self.ledger.items.values())
            if one.path != path and os.path.lexists(os.path.join(root, one.path))
        }
        return Link(
            name=path,
            chain=chain,
            number=number,
            time=time.strftime(_UTC, now),
            taken_at=self._taken_at(root, path),
            content=content,
            beside=beside,
            written_at=time.strftime(_UTC, time.gmtime(spooled.mtime_ns // 10**9)),
            hidden=links.hidden_digests(content, beside, self.keys.recipients_file),
            previous=last.sha256 if last else "",
            present={**present, path: number} if len(present) < MOST_PRESENT else None,
        )

    def _taken_at(self, root: str, path: str) -> str:
        """Return when production was dumped: by the manifest, or else by the name."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = os.path.join(root, path + sealed_names.BESIDE[0])
            with open(manifest, encoding="utf-8") as file:
                return str(json_text.load(file)["taken_at"])
        match = backup_names.match_name(os.path.basename(path), self.pattern)
        return (match and backup_names.taken_at(match)) or ""

    def make_folder(self) -> None:
        """Make the folder, if it is not there."""
        self._make("")

    def _make(self, tier: str) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        os.chmod(self.folder, 0o700)
        os.makedirs(os.path.join(self.folder, tier), mode=0o700, exist_ok=True)

    def remove(self, items: Iterable[LedgerItem]) -> None:
        """Delete the sealed files of items."""
        for item in items:
            for name in files_of(item):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self.folder, name))

    def clear(self) -> None:
        """Delete what no item of the ledger waits for."""
        waiting = {
            name
            for item in self.ledger.items.values()
            if item.state == MADE
            for name in files_of(item)
        }
        for folder, _folders, names in os.walk(self.folder):
            for name in names:
                whole = os.path.join(folder, name)
                if os.path.relpath(whole, self.folder) not in waiting:
                    os.unlink(whole)
        if not waiting:
            shutil.rmtree(self.folder, ignore_errors=True)


def files_of(item: LedgerItem) -> dict[str, tuple[str, int]]:
    """Return digest and size of the files of a sealed backup, by their paths on the server."""
    found = {
        sealed_names.sealed(item.path): (
            item.content.sealed_sha256,
            item.content.sealed_bytes,
        ),
        sealed_names.link(item.path): item.link,
    }
    for ending, content in item.beside.items():
        name = sealed_names.sealed(item.path + ending)
        found[name] = (content.sealed_sha256, content.sealed_bytes)
    return found
