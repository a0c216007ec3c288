# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any transport, with sealed files: `x.dump.gz.age` is sent, the backup itself is compared.

Guards, comparison and verification see the plain names, sizes and digests of the backups. The
ledger says which sealed bytes stand for which plain ones; a sealed file that it does not know
counts as different.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, ngettext
from ..common.system_errors import reason
from ..inventory import backup_names, inventory, sealed_names
from ..inventory.inventory import BackupFile, BackupFiles, readable
from ..inventory.path_block import SHA256, RowForm
from ..inventory.path_list import PathList
from ..inventory.path_table import DIGESTS, IDENTITIES, SIZES, PathTable, TableBuilder
from ..sealing.keys import SealKeys
from ..sealing.ledger import SealLedger, last_position
from ..sealing.ledger_items import DELIVERED, MADE, SENT, LedgerItem, LedgerItems
from ..sealing.positions import Position
from ..sealing.spool import Spool, files_of
from . import sealed_listing
from .remote_listing import RemoteListing
from .rsync import Item, Transfer
from .sealed_fetching import SealedFetching
from .sealed_listing import HeldBackup
from .sealed_sending import SealedSending
from .transport import Delivery, FinishResult, RemoteFile, TransferRequest, Transport

# Of a listing that this transport reads itself.
_ANY_NAME = "(?s:.*)"
_SEALED_MARK = "sealed:"
# Backups whose digests are requested at a time.
MOST_READ = 100_000
# A `FileRow`, and the identity of the file that stands for a backup on the server.
_LISTED: RowForm[tuple[int, ...]] = RowForm(
    "qqQqqqqQq", lambda fields: fields, lambda _path, *fields: fields
)
_FIRST_OF_IDENTITY = 5
# SHA-256 and bytes of a file.
_ANNOUNCED: RowForm[tuple[str, int]] = RowForm(
    f"{SHA256}q", lambda content: content, lambda _path, digest, size: (digest, size)
)


class _ArrivedDigests(Mapping[str, str]):
    """The digests of what has left this host, each read from the ledger when it is needed."""

    def __init__(self, items: LedgerItems) -> None:
        self._items = items

    def __getitem__(self, path: str) -> str:
        item = self._items[path]
        if item.state == MADE:
            raise KeyError(path)
        return item.local_sha256

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._items if path in self)

    def __len__(self) -> int:
        return sum(1 for _path in self)


class SealedTransport:
    """Another transport, through which sealed backups go.

    Args:
        inner: the transport.
        keys: of this host.
        root: the backup tree.
        pattern: of the names of backups.
        ledger_file: of this copy.
        spool_folder: of this copy.
        time_limit: seconds for sealing or opening one file.
        known: the last link that is known from elsewhere, if one is.
    """

    def __init__(
        self,
        inner: Transport,
        keys: SealKeys,
        *,
        root: str,
        pattern: str,
        ledger_file: str,
        spool_folder: str,
        time_limit: float,
        known: Position | None = None,
    ) -> None:
        self.inner = inner
        self.keys = keys
        self.root = root
        self.pattern = backup_names.compiled(pattern)
        self.ledger_file = ledger_file
        self.known = known
        self.fetching = SealedFetching(
            inner, keys, pattern=pattern, known=self._known_link, time_limit=time_limit
        )
        self._spool_settings = (spool_folder, pattern, time_limit)
        self._spool: Spool | None = None
        # What the server holds: all, and those backups of which it is not what the ledger has.
        self._listed: PathTable[tuple[int, int, int, int]] = PathTable(IDENTITIES)
        self._odd: dict[str, HeldBackup] = {}
        self._gated = False
        self._keeps_times = True
        self._plain_left = 0

    @property
    def spool(self) -> Spool:
        """The spool folder, with the ledger; an unchanged copy needs neither."""
        if self._spool is None:
            folder, pattern, time_limit = self._spool_settings
            try:
                ledger = SealLedger(self.ledger_file)
            except OSError as error:
                raise ResilienceError(
                    _("the ledger of sealed backups cannot be read: %(why)s", why=reason(error)),
                    option="state_dir",
                    value=self.ledger_file,
                    remedy=_("look at the disk of that folder"),
                ) from error
            self._spool = Spool(folder, self.keys, ledger, pattern, time_limit)
        return self._spool

    @property
    def ledger(self) -> SealLedger:
        """The ledger of this copy."""
        return self.spool.ledger

    def _known_link(self) -> Position | None:
        """Return the newest link that is known: a host that sends by itself knows it best."""
        own, given = self.ledger.last_sent, self.known
        if own and given and own.chain == given.chain:
            return max(own, given, key=lambda one: one.number)
        return own or given

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self.inner.host

    @property
    def takes_digests(self) -> bool:
        """What is sealed was digested on the way, as `Transport.takes_digests`."""
        return False

    def arrived_digests(self) -> Mapping[str, str]:
        """What the ledger knows to have arrived, as `Transport.arrived_digests`."""
        return _ArrivedDigests(self.ledger.items)

    @property
    def last_link(self) -> str:
        """The newest link, as `Transport.last_link`."""
        return last_position(self.ledger_file)

    def __str__(self) -> str:
        return str(self.inner)

    def check(self) -> None:
        """Check the inner transport, as `Transport.check`."""
        self.inner.check()

    def prefetch(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """Start the listing, as `Transport.prefetch`."""
        self.inner.prefetch(tiers, digests=digests)

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """Do nothing: a login would grow old during sealing."""

    def discard_leftovers(self) -> None:
        """Delete what a killed sync left in the spool; mostly there is none."""
        if os.path.isdir(self._spool_settings[0]):
            self.spool.clear()

    def cancel(self) -> None:
        """End what was started, as `Transport.cancel`."""
        self.inner.cancel()

    def server_name(self) -> str:
        """Return the server's name, as `Transport.server_name`."""
        return self.inner.server_name()

    def weaker(self, remote: RemoteListing) -> tuple[str, ...]:
        """Return the guarantees that are missing, as `Transport.weaker`."""
        found = self.inner.weaker(remote)
        if not self._plain_left:
            return found
        return (
            *found,
            ngettext(
                "%(count)d backup still lies readable on the server; the next syncs seal it",
                "%(count)d backups still lie readable on the server; the next syncs seal them",
                self._plain_left,
            ),
        )

    def list_backups(
        self,
        tiers: Sequence[str],
        pattern: str,
        known: str = "",
        like: PathTable[Any] | None = None,
    ) -> RemoteListing:
        """List the backups, as `Transport.list_backups`, under their plain names."""
        known = known[len(_SEALED_MARK) :] if known.startswith(_SEALED_MARK) else ""
        remote = self.inner.list_backups(tiers, _ANY_NAME, known)
        self._gated = remote.gate is not None
        self._keeps_times = remote.keeps_times
        fingerprint = _SEALED_MARK + remote.fingerprint if remote.fingerprint else ""
        if remote.unchanged:
            return dataclasses.replace(remote, fingerprint=fingerprint)
        other: list[BackupFile] = []
        left: list[str] = []
        rotten: set[str] = set()
        self._odd, self._plain_left = {}, 0

        def rows() -> Iterator[tuple[str, tuple[int, ...]]]:
            for path, held in sealed_listing.by_backup(remote.tree.files, self.pattern, other):
                item = self._item(path, held)
                if rotten_names and rotten_names.intersection(held.files):
                    rotten.add(path)
                if item is None:
                    self._plain_left += held.plain is not None
                    if os.path.lexists(self._stored(path)):
                        left.append(path)
                if (
                    item is None
                    or held.plain
                    or held.beside
                    or held.files.keys() != files_of(item).keys()
                ):
                    self._odd[path] = held
                shown = held.shown(path)
                identity = remote.identities.get(shown.path)
                identity = identity or (shown.bytes, shown.mtime_ns, 0, 0)
                yield path, (*self._row(path, held, item), *identity)

        rotten_names = remote.rotten
        table = PathTable.sorted_from(_LISTED, rows(), like)
        files = BackupFiles.view_of(table)
        self._listed = table.view(IDENTITIES, *range(_FIRST_OF_IDENTITY, len(_LISTED.codes)))
        for path in _sealed_next(left):
            # No backup is from 1970, or has fewer than no bytes.
            file = files.table[path]._replace(mtime_ns=0)
            files.table[path] = file if remote.keeps_times else file._replace(bytes=-1)
        ignored = [*remote.tree.ignored, *(readable(file.path) for file in other)]
        return dataclasses.replace(
            remote,
            tree=dataclasses.replace(remote.tree, files=files, ignored=ignored),
            identities=self._listed,
            rotten=frozenset(rotten),
            fingerprint=fingerprint,
        )

    def _item(self, path: str, held: HeldBackup) -> LedgerItem | None:
        """Return the item of a backup whose sealed form the server holds as far as sizes say.

        Nothing is held that a key signed which does not count any more: it is sealed anew.
        """
        item = self._counting_item(path)
        if item is None:
            return None
        sizes = {name: size for name, (_digest, size) in files_of(item).items()}
        same = all(
            name in held.files and held.files[name].bytes == size for name, size in sizes.items()
        )
        return item if same else None

    def _counting_item(self, path: str) -> LedgerItem | None:
        """Return the item of a backup of which the server got all, signed by a key that counts."""
        item = self._known(path)
        if item is None or item.state == MADE or (item.state == DELIVERED and self._gated):
            return None
        if not self.keys.trusts(item.signer):
            return None
        return item

    def _row(self, path: str, held: HeldBackup, item: LedgerItem | None) -> tuple[int, ...]:
        """Return the fields of a backup of the server's, as a `FileRow` has them."""
        shown = held.shown(path)
        match = backup_names.match_name(os.path.basename(path), self.pattern)
        size, mtime = (item.local_bytes if item else shown.bytes), shown.mtime_ns
        if item and (held.plain or held.beside or self._has_more_beside(item)):
            mtime = 0  # what is superseded is still to be moved aside
        taken = inventory.moment_number(match and backup_names.taken_at(match))
        return size, mtime, 0, 0, taken

    def _held(self, path: str) -> HeldBackup:
        """Return what the server holds of one backup."""
        odd, identity = self._odd.get(path), self._listed.get(path)
        if odd or identity is None:
            return odd or HeldBackup()
        # All others are held as the ledger has them.
        item = self._known(path)
        sizes = {name: size for name, (_digest, size) in files_of(item).items()} if item else {}
        tier, mtime_ns = path.partition("/")[0], identity[1]
        return HeldBackup(
            {name: BackupFile(name, tier, size, mtime_ns) for name, size in sizes.items()}
        )

    def _known(self, path: str) -> LedgerItem | None:
        found: LedgerItem | None = self.ledger.items.get(path)
        return found

    def _has_more_beside(self, item: LedgerItem) -> bool:
        """Return whether something lies beside a backup that was not there when it was sealed."""
        there = sealed_names.stored_beside(os.path.join(self.root, item.path))
        return bool(there.keys() - item.beside.keys())

    def _stored(self, path: str) -> str:
        return sealed_names.stored(os.path.join(self.root, path))

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return the listing with the alarms after the last reading, as `Transport.standing`."""
        return self.inner.standing(remote)

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return the plain digests that the server's sealed content stands for.

        Where a sealed file is not the one that the ledger knows, it is a digest that no backup has.
        """
        like = paths.table if isinstance(paths, PathList) else None
        return PathTable.sorted_from(DIGESTS, self._each_digest(paths), like)

    def _each_digest(self, paths: Sequence[str]) -> Iterator[tuple[str, tuple[str]]]:
        """Yield backups with their digests; the names of some of them are in memory at a time."""
        remaining = iter(paths)
        while some := PathList(islice(remaining, MOST_READ)):
            names = PathList()
            for path in some:
                names.update(self._names_to_read(path))
            read = self.inner.digests(names)
            for path in some:
                if digest := self._digest(path, read):
                    yield path, (digest,)

    def _names_to_read(self, path: str) -> list[str]:
        """Return the names on the server whose content a backup's digest stands for."""
        if item := self._item_on_server(path):
            return list(files_of(item))
        held = self._odd.get(path, HeldBackup())
        if sealed_names.sealed(path) in held.files:
            return [sealed_names.sealed(path)]
        return [held.shown(path).path] if path in self._odd else []

    def _digest(self, path: str, read: Mapping[str, str]) -> str:
        """Return the digest that what was read of one backup stands for; an empty one for none."""
        item = self._item_on_server(path)
        if item is None:
            return next((read.get(name, "") for name in self._names_to_read(path)), "")
        expected = {name: digest for name, (digest, _size) in files_of(item).items()}
        if sealed_names.sealed(path) not in read:
            return ""
        seen = {name: read.get(name, "") for name in expected}
        if seen == expected:
            return item.local_sha256
        return hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()

    def _item_on_server(self, path: str) -> LedgerItem | None:
        """Return the item of a backup that the listed server holds, as `_item`."""
        if odd := self._odd.get(path):
            return self._item(path, odd)
        return self._counting_item(path) if path in self._listed else None

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Seal backups and send them, batch by batch, as `Transport.send`."""
        if delivery.dry_run:
            return Transfer(0, sent=tuple(self._plain_items(names, delivery.source)))
        there = [] if delivery.ignore_times else [one for one in names if self._is_there(one)]
        # The newest backup gets the newest link.
        to_seal = sorted((name for name in names if name not in there), key=self._age_key)
        self.spool.clear()
        sent = SealedSending(self.inner, self.spool, delivery).send(to_seal)
        already = tuple(self._plain_items(there, delivery.source))
        return dataclasses.replace(sent, sent=[*already, *sent.sent])

    def _is_there(self, path: str) -> bool:
        """Return whether a backup needs no transfer: what has arrived only waits for `finish`."""
        item = self._known(path)
        if item is None or item.state == MADE or not self.keys.trusts(item.signer):
            return False
        try:
            now = os.lstat(self._stored(path))
        except OSError:
            return False
        same = (now.st_size, now.st_mtime_ns) == (item.local_bytes, item.mtime_ns)
        if not same or self._has_more_beside(item):
            return False
        if item.state == DELIVERED and self._gated:
            return True
        held = self._held(path)
        return self._item(path, held) is not None and self._has_time(item, held)

    def _has_time(self, item: LedgerItem, held: HeldBackup) -> bool:
        """Return whether the server's file has the time with which it was sent."""
        file = held.files.get(sealed_names.sealed(item.path))
        same = file is not None and file.mtime_ns // 10**9 == item.mtime_ns // 10**9
        return same or not self._keeps_times

    def _age_key(self, path: str) -> tuple[str, str]:
        match = backup_names.match_name(os.path.basename(path), self.pattern)
        return (match and backup_names.taken_at(match)) or "", path

    @staticmethod
    def _plain_items(names: Sequence[str], root: str) -> Iterator[Item]:
        for name in names:
            try:
                yield Item(name, os.lstat(sealed_names.stored(os.path.join(root, name))).st_size)
            except OSError:
                continue

    def finish(self, request: TransferRequest, delivery: Delivery) -> FinishResult:
        """Announce the sealed files and move obsolete ones aside, as `Transport.finish`."""
        if delivery.dry_run:
            return FinishResult(Transfer(0, removed=tuple(Item(one, 0) for one in request.aside)))
        items, sealed, plain, unsure = self.ledger.items, PathList(), {}, set(request.in_progress)
        for path, size in request.sizes.items():
            row = items.row(path)
            if row and row.has_left and row.local_bytes == size:
                sealed.add(path)
            elif path in self._odd and self._odd[path].plain:
                plain[path] = size
            else:
                unsure.add(path)
        known: TableBuilder[tuple[str, int]] = TableBuilder(_ANNOUNCED)
        for path in sealed:
            for name, content in files_of(items[path]).items():
                known.add(name, content)
        announced = known.table()
        sizes = announced.view(SIZES, 1)
        sizes.update(plain)

        def digests() -> PathTable[str]:
            found = announced.view(DIGESTS, 0)
            taken = request.digests() if plain else {}
            found.update((path, taken[path]) for path in plain if path in taken)
            return found

        aside = [name for path in request.aside for name in self._names_there(path)]
        both = [(path, held) for path, held in self._odd.items() if path in sealed]
        superseded = [path for path, held in both if held.plain]
        superseded += [one.path for _path, held in both for one in held.beside]
        left_alone = (name for path in unsure for name in _all_names(path))
        # They stay until their backup is sealed.
        with_plain = (one.path for path in plain for one in self._odd[path].beside)
        self.spool.make_folder()
        finished = self.inner.finish(
            TransferRequest(
                aside=[*aside, *superseded],
                digests=digests,
                sizes=sizes,
                unread=request.unread,
                in_progress=frozenset((*left_alone, *with_plain)),
            ),
            dataclasses.replace(delivery, source=self.spool.folder),
        )
        self.spool.clear()
        return self._finished(request, sealed, finished)

    def _names_there(self, path: str) -> list[str]:
        held = self._held(path)
        return [*held.files, *([path] if held.plain else []), *(one.path for one in held.beside)]

    def _finished(
        self,
        request: TransferRequest,
        sealed: PathList,
        finished: FinishResult,
    ) -> FinishResult:
        """Write down what is in its place, and return the result under plain names."""
        unknown = [one for one in finished.rejected if self._backup_of(one) in sealed]
        if unknown:
            raise ResilienceError(
                _("the server's part does not know sealed backups: %(file)s", file=unknown[0]),
                option="seal",
                value=str(self),
                remedy=_("set up the server's part again, with this version of the collection"),
            )
        not_placed = tuple(dict.fromkeys(map(self._backup_of, finished.not_placed)))
        if finished.moved.ok:
            if not finished.refused:
                self.ledger.mark((path for path in sealed if path not in not_placed), SENT)
                self.ledger.drop(request.aside)
            # Its bytes are neither here nor there: the next attempt seals it anew.
            self.ledger.drop(not_placed)
        moved = dict.fromkeys(
            path
            for path in (self._backup_of(item.path) for item in finished.moved.removed)
            if path not in request.sizes
        )
        return dataclasses.replace(
            finished,
            moved=dataclasses.replace(
                finished.moved, removed=tuple(Item(path, 0) for path in moved)
            ),
            not_placed=not_placed,
            rejected=tuple(map(self._backup_of, finished.rejected)),
            repaired=tuple(dict.fromkeys(map(self._backup_of, finished.repaired))),
        )

    def list_files(self, tiers: Sequence[str]) -> dict[str, RemoteFile]:
        """Return the files of some tiers under their plain names, as `Transport.list_files`."""
        return self.fetching.list_files(tiers)

    def fetch(self, paths: Sequence[str], folder: str) -> None:
        """Fetch files and open them, as `Transport.fetch`."""
        self.fetching.fetch(paths, folder)

    def evidence(self, path: str) -> Mapping[str, Any]:
        """Return what was signed and opened, as `Transport.evidence`."""
        return self.fetching.evidence.get(path, {})

    def fetch_command(self, path: str, folder: str) -> str:
        """Return the command for a person, as `Transport.fetch_command`."""
        return self.fetching.fetch_command(path, folder)

    def _backup_of(self, name: str) -> str:
        """Return the backup that a name on the server belongs to."""
        return sealed_names.owner(name, self.pattern)


def _sealed_next(left: list[str]) -> list[str]:
    """Return which of the backups that are not sealed on the server the next sync seals.

    Half of them, the newest first: a server's guard takes the change of a whole tree for an attack,
    and the first night must not take many nights' time.
    """
    left.sort(key=os.path.basename, reverse=True)
    return left if len(left) <= 3 else left[: (len(left) + 1) // 2]


def _all_names(path: str) -> tuple[str, ...]:
    plain = (path, *(path + ending for ending in sealed_names.BESIDE))
    return (*plain, sealed_names.sealed(path), *sealed_names.beside(path))
