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
import shutil
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..inventory import backup_names, sealed_names, tree_digests
from . import age, links
from .keys import SealKeys
from .ledger import SealLedger
from .ledger_items import MADE, LedgerItem
from .links import MOST_PRESENT, Content, Link

_UTC = "%Y-%m-%dT%H:%M:%S+00:00"
# Times that ISO 8601 can write; filesystems have others.
_FIRST_SECOND, _LAST_SECOND = 0, 253402300799


class SpooledBackup(NamedTuple):
    """A backup that lies sealed in the spool folder.

    Attributes:
        path: of the backup in the tree.
        mtime_ns: its time of change.
        content, beside: of the backup, and of what lies beside it by ending.
        local: SHA-256 and bytes of the file in the tree.
        taken_at: when production was dumped, by the manifest or the name; empty if not known.
        item: of the ledger, where an earlier run announced it already.
    """

    path: str
    mtime_ns: int
    content: Content
    beside: Mapping[str, Content]
    local: tuple[str, int]
    taken_at: str = ""
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
        self._holds_many = False

    def seal(self, root: str, path: str) -> SpooledBackup:
        """Seal a backup and what lies beside it; `announce` must follow before it is sent.

        What lies sealed in the tree for the recipients of today is read once, to know that it is
        whole, and linked. What was sealed for others is opened and sealed again on its way: nothing
        plain is written. What this host cannot open is sealed once more, as it is.

        Args:
            root: the backup tree.
            path: of the backup in it, without the ending of a sealed one.

        Raises:
            age.ChangedFile: it changed meanwhile.
            BackupError: it lies sealed in the tree, and is damaged.
            ResilienceError: age is missing or failed.
            OSError: a file cannot be read or written.
        """
        whole = os.path.join(root, path)
        mtime_ns = os.lstat(sealed_names.stored(whole)).st_mtime_ns
        waiting = self._waiting(root, path)
        if waiting:
            local = (waiting.local_sha256, waiting.local_bytes)
            return SpooledBackup(
                path, mtime_ns, waiting.content, waiting.beside, local, item=waiting
            )
        self._make(os.path.dirname(path))
        manifest = self._manifest(whole)
        is_current = manifest.get("sealed_for") == self.keys.fingerprint
        taken_at = str(manifest.get("taken_at") or self._time_in_name(path))
        del manifest  # it may be large
        content, local = self._seal_one(whole, sealed_names.sealed(path), is_current)
        beside = {
            ending: self._seal_one(whole + ending, sealed_names.sealed(path + ending), is_current)[
                0
            ]
            for ending in sealed_names.stored_beside(whole)
        }
        return SpooledBackup(path, mtime_ns, content, beside, local, taken_at)

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
            local=spooled.local,
            chain=link.chain,
            signer=self.keys.signer,
        )
        self.ledger.add_link(link.position)
        self.ledger.add([item])
        return item

    def _seal_one(self, plain: str, name: str, is_current: bool) -> tuple[Content, tuple[str, int]]:
        """Seal a file; return its content, and digest and size of the file as it lies.

        Args:
            plain: its path without the ending of a sealed one.
            name: of the sealed file in the spool folder.
            is_current: whether it is for the recipients of today, where it lies sealed.
        """
        target, to = os.path.join(self.folder, name), self.keys.recipients_file
        source, done = sealed_names.stored(plain), None
        if source != plain:
            with contextlib.suppress(age.WrongIdentity):
                by, limit = self.keys.identity_files, self.time_limit
                if is_current:
                    done = age.link_verified(source, target, by, time_limit=limit)
                    local = (done.sealed_sha256, done.sealed_bytes)
                else:
                    done, local = age.seal_again(source, target, by, to, time_limit=limit)
        if done is None:
            done = age.seal(source, target, to, time_limit=self.time_limit)
            local = (done.sha256, done.bytes)
        return Content(done.sha256, done.bytes, done.sealed_sha256, done.sealed_bytes), local

    def _waiting(self, root: str, path: str) -> LedgerItem | None:
        """Return the item of a backup that an earlier run sealed and did not send."""
        item: LedgerItem | None = self.ledger.items.get(path)
        if item is None or item.state != MADE or item.recipients != self.keys.fingerprint:
            return None
        if not self.keys.trusts(item.signer):
            return None
        with contextlib.suppress(OSError):
            now = os.lstat(sealed_names.stored(os.path.join(root, path)))
            if (now.st_size, now.st_mtime_ns) == (item.local_bytes, item.mtime_ns):
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
        written = min(max(spooled.mtime_ns // 10**9, _FIRST_SECOND), _LAST_SECOND)
        last = self.ledger.last
        chain = last.chain if last else self.keys.new_chain()
        number = last.number + 1 if last else 1
        present = self._present(root, path)
        return Link(
            name=path,
            chain=chain,
            number=number,
            time=time.strftime(_UTC, now),
            taken_at=spooled.taken_at,
            content=content,
            beside=beside,
            written_at=time.strftime(_UTC, time.gmtime(written)),
            hidden=links.hidden_digests(content, beside, self.keys.recipients_file),
            previous=last.sha256 if last else "",
            present=None if present is None else {**present, path: number},
        )

    def _present(self, root: str, path: str) -> dict[str, int] | None:
        """Return the numbers of all other backups that the tree holds; None for too many."""
        found: dict[str, int] = {}
        if self._holds_many:
            return None
        for other in self.ledger.items:
            row = self.ledger.items.row(other)
            if row is None or other == path:
                continue
            if os.path.lexists(sealed_names.stored(os.path.join(root, other))):
                found[other] = row.number
                if len(found) == MOST_PRESENT:
                    self._holds_many = True  # one more or less in this run changes nothing
                    return None
        return found

    def _time_in_name(self, path: str) -> str:
        match = backup_names.match_name(os.path.basename(path), self.pattern)
        return (match and backup_names.taken_at(match)) or ""

    def _manifest(self, whole: str) -> Mapping[str, Any]:
        """Return what the manifest beside a backup holds; nothing where it cannot be read."""
        path = sealed_names.stored(whole + sealed_names.BESIDE[0])
        with contextlib.suppress(OSError, ValueError, ResilienceError):
            with open(path, "rb") as file:
                text = file.read()
            if sealed_names.is_sealed(text[: sealed_names.HEAD_BYTES]):
                text = age.open_bytes(text, path, self.keys.identity_files)
            found = json_text.loads(text)
            return found if isinstance(found, dict) else {}
        return {}

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
            for path in self.ledger.items.paths_in(MADE)
            for name in files_of(self.ledger.items[path])
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
