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
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, ngettext
from ..common.system_errors import reason
from ..inventory import backup_names, companions, inventory, sealed_names
from ..inventory.inventory import BackupFile, readable
from ..inventory.path_table import PathTable
from ..sealing.keys import SealKeys
from ..sealing.ledger import DELIVERED, MADE, SENT, LedgerItem, SealLedger, last_position
from ..sealing.positions import Position
from ..sealing.spool import Spool, files_of
from .remote_listing import RemoteListing
from .rsync import Item, Transfer
from .sealed_fetching import SealedFetching
from .sealed_sending import SealedSending
from .transport import Delivery, FinishResult, RemoteFile, TransferRequest, Transport

# Of a listing that this transport reads itself.
_ANY_NAME = "(?s:.*)"
_SEALED_MARK = "sealed:"


@dataclasses.dataclass
class _Held:
    """What the server holds of one backup.

    Attributes:
        files: of its sealed form, by name.
        plain: the backup as it was copied before copies were sealed.
        beside: the files that belong to that one.
    """

    files: dict[str, BackupFile] = dataclasses.field(default_factory=dict)
    plain: BackupFile | None = None
    beside: list[BackupFile] = dataclasses.field(default_factory=list)


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
        self._held: dict[str, _Held] = {}
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
        items = self.ledger.items
        return {path: one.local_sha256 for path, one in items.items() if one.state != MADE}

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
        files: list[inventory.BackupFile] = []
        tree = dataclasses.replace(
            remote.tree,
            files=files,
            ignored=list(remote.tree.ignored),
            problems=remote.tree.problems,
        )
        self._held = self._sorted(remote, tree)
        identities = {}
        chosen = self._to_seal_now()
        for path, held in sorted(self._held.items()):
            found = self._as_backup(path, held, again=path in chosen, times=remote.keeps_times)
            files.append(found)
            shown = _shown(path, held)
            if shown.path in remote.identities:
                identities[path] = remote.identities[shown.path]
        rotten = frozenset(
            path for path, held in self._held.items() if remote.rotten.intersection(held.files)
        )
        return dataclasses.replace(
            remote, tree=tree, identities=identities, rotten=rotten, fingerprint=fingerprint
        )

    def _sorted(self, remote: RemoteListing, tree: inventory.Inventory) -> dict[str, _Held]:
        """Return what the server holds by backup; other names go into `tree.ignored`."""
        found: dict[str, _Held] = {}
        for file in remote.tree.files:
            sealed = sealed_names.match(file.name, self.pattern)
            if sealed:
                path = f"{file.tier}/{sealed.backup}"
                found.setdefault(path, _Held()).files[file.path] = file
            elif not companions.match_name(file.name, self.pattern):
                tree.ignored.append(readable(file.path))
            elif owner := companions.owner(file.path):
                found.setdefault(owner, _Held()).beside.append(file)
            else:
                found.setdefault(file.path, _Held()).plain = file
        # What a killed move left beside a backup that is gone counts as that backup: the next sync
        # moves it, too.
        return found

    def _to_seal_now(self) -> set[str]:
        """Return the backups on the server that the next sync seals.

        Half of those that are left, the newest first: a server's guard takes the change of a whole
        tree for an attack, and the first night must not take many nights' time.
        """
        left = [
            path
            for path, held in self._held.items()
            if os.path.lexists(self._stored(path)) and self._item(path, held) is None
        ]
        self._plain_left = sum(
            held.plain is not None and self._item(path, held) is None
            for path, held in self._held.items()
        )
        left.sort(key=os.path.basename, reverse=True)
        return set(left if len(left) <= 3 else left[: (len(left) + 1) // 2])

    def _item(self, path: str, held: _Held) -> LedgerItem | None:
        """Return the item of a backup whose sealed form the server holds as far as sizes say.

        Nothing is held that a key signed which does not count any more: it is sealed anew.
        """
        item = self.ledger.items.get(path)
        if item is None or item.state == MADE or (item.state == DELIVERED and self._gated):
            return None
        if not self.keys.trusts(item.signer):
            return None
        sizes = {name: size for name, (_digest, size) in files_of(item).items()}
        same = all(
            name in held.files and held.files[name].bytes == size for name, size in sizes.items()
        )
        return item if same else None

    def _as_backup(self, path: str, held: _Held, *, again: bool, times: bool) -> BackupFile:
        """Return a backup of the server's under its plain name.

        Args:
            path: of the backup.
            held: what the server holds of it.
            again: whether the next sync must send it, whatever is there.
            times: whether the server keeps times of change.
        """
        item = self._item(path, held)
        shown = _shown(path, held)
        match = backup_names.match_name(os.path.basename(path), self.pattern)
        size = item.local_bytes if item else shown.bytes
        # No backup is from 1970, or has fewer than no bytes.
        mtime = 0 if again else shown.mtime_ns
        if again and not times:
            size = -1
        taken = match and backup_names.taken_at(match)
        if item and (held.plain or held.beside or self._has_more_beside(item)):
            mtime = 0  # what is superseded is still to be moved aside
        return BackupFile(path, path.partition("/")[0], size, mtime, None, taken)

    def _has_more_beside(self, item: LedgerItem) -> bool:
        """Return whether something lies beside a backup that was not there when it was sealed."""
        there = sealed_names.stored_beside(os.path.join(self.root, item.path))
        return bool(there.keys() - item.beside.keys())

    def _stored(self, path: str) -> str:
        return sealed_names.stored(os.path.join(self.root, path))

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return the listing with the alarms after the last reading, as `Transport.standing`."""
        return self.inner.standing(remote)

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """Return the plain digests that the server's sealed content stands for.

        Where a sealed file is not the one that the ledger knows, it is a digest that no backup has.
        """
        names: dict[str, list[str]] = {}
        for path in paths:
            held = self._held.get(path, _Held())
            item = self._item(path, held)
            if item:
                names[path] = list(files_of(item))
            elif sealed_names.sealed(path) in held.files:
                names[path] = [sealed_names.sealed(path)]
            elif path in self._held:
                names[path] = [_shown(path, held).path]
        read = self.inner.digests([name for listed in names.values() for name in listed])
        found = {}
        for path, listed in names.items():
            if listed[0] not in read:
                continue
            item = self._item(path, self._held[path])
            if item is None:
                found[path] = read[listed[0]]
                continue
            expected = {name: digest for name, (digest, _size) in files_of(item).items()}
            seen = {name: read.get(name, "") for name in listed}
            found[path] = (
                item.local_sha256
                if seen == expected
                else hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()
            )
        return found

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
        item = self.ledger.items.get(path)
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
        held = self._held.get(path, _Held())
        return self._item(path, held) is not None and self._has_time(item, held)

    def _has_time(self, item: LedgerItem, held: _Held) -> bool:
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
        sealed = {
            path: self.ledger.items[path]
            for path, size in request.sizes.items()
            if path in self.ledger.items
            and self.ledger.items[path].state != MADE
            and self.ledger.items[path].local_bytes == size
        }
        plain = {
            path: size
            for path, size in request.sizes.items()
            if path not in sealed and self._held.get(path, _Held()).plain
        }
        known = {name: one for item in sealed.values() for name, one in files_of(item).items()}
        unsure = request.in_progress | (request.sizes.keys() - sealed.keys() - plain.keys())

        def digests() -> dict[str, str]:
            taken = request.digests() if plain else {}
            return {
                **{name: digest for name, (digest, _size) in known.items()},
                **{path: taken[path] for path in plain if path in taken},
            }

        aside = [name for path in request.aside for name in self._names_there(path)]
        superseded = [path for path in sealed if self._held.get(path, _Held()).plain]
        superseded += [one.path for path in sealed for one in self._held.get(path, _Held()).beside]
        left_alone = (name for path in unsure for name in _all_names(path))
        # They stay until their backup is sealed.
        with_plain = (one.path for path in plain for one in self._held[path].beside)
        self.spool.make_folder()
        finished = self.inner.finish(
            TransferRequest(
                aside=[*aside, *superseded],
                digests=digests,
                sizes={**{name: size for name, (_digest, size) in known.items()}, **plain},
                unread=request.unread,
                in_progress=frozenset((*left_alone, *with_plain)),
            ),
            dataclasses.replace(delivery, source=self.spool.folder),
        )
        self.spool.clear()
        return self._finished(request, sealed, finished)

    def _names_there(self, path: str) -> list[str]:
        held = self._held.get(path, _Held())
        return [*held.files, *([path] if held.plain else []), *(one.path for one in held.beside)]

    def _finished(
        self,
        request: TransferRequest,
        sealed: Mapping[str, LedgerItem],
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
            placed = [path for path in sealed if path not in not_placed]
            if not finished.refused:
                self.ledger.mark(placed, SENT)
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


def _shown(path: str, held: _Held) -> BackupFile:
    """Return the file that stands for a backup: sealed, plain, or what is left beside it."""
    sealed = held.files.get(sealed_names.sealed(path))
    return sealed or held.plain or next(iter((*held.files.values(), *held.beside)))


def _all_names(path: str) -> tuple[str, ...]:
    plain = (path, *(path + ending for ending in sealed_names.BESIDE))
    return (*plain, sealed_names.sealed(path), *sealed_names.beside(path))
