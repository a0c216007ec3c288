# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement: make the copy what a client's inventory lists, as far as that is safe.

A backup gets its place only if its content has the digest that the inventory names, and never over
another one. What the inventory no longer lists is moved to `old_<date>_<time>`, unless so much
would go that it looks like an attack or a mistake. Moves are written down before the first of them,
so that a job that was killed is completed or undone by the next one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import chain

from ..common.messages import _, join, ngettext
from ..inventory import tree_digests
from ..inventory.path_list import PathList
from ..inventory.path_table import SIZES, STATES, PathTable, only_in
from ..offsite import offsite_guards
from ..offsite.offsite_guards import DayState, FileState
from . import client_inventory
from .client_inventory import ClientInventory, parse
from .incoming import ArrivalSession
from .new_names import FolderMove, rename_new, sync_filesystem
from .server_alarms import MASS_CHANGE, REWRITTEN, UNMOVABLE, UNREADABLE
from .server_store import Intents, LedgerEntry, Store, ledger_builder, names, new_entries


@dataclasses.dataclass
class PlacementResult:
    """Result of one inventory.

    Attributes:
        placed: backups that got their place.
        replaced: those of them whose earlier content was moved aside.
        repaired: those of them that replaced rotten content by the one that the ledger knows.
        aside: backups that were moved aside because the client no longer lists them.
        missing: listed backups that are neither in place nor have arrived.
        unfit: backups that arrived with other content than listed; they are deleted.
        rejected: listed paths that are not a backup's by the server's tiers and pattern.
        lost: backups that are gone from the copy although nothing here moved them.
        unreadable: backups of the copy that cannot be read.
        refused: why nothing was replaced or moved aside; empty where that was done.
        refused_id: names the refused inventory for `--accept`.
        old_folder: where backups are moved aside to, relative to the copy.
    """

    placed: PathList = dataclasses.field(default_factory=PathList)
    replaced: list[str] = dataclasses.field(default_factory=list)
    repaired: list[str] = dataclasses.field(default_factory=list)
    aside: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    unfit: list[str] = dataclasses.field(default_factory=list)
    rejected: list[str] = dataclasses.field(default_factory=list)
    lost: list[str] = dataclasses.field(default_factory=list)
    unreadable: list[str] = dataclasses.field(default_factory=list)
    refused: str = ""
    refused_id: str = ""
    old_folder: str = ""


def apply_inventory(
    store: Store,
    values: object,
    *,
    accept: bool = False,
    session: ArrivalSession | None = None,
) -> PlacementResult:
    """Make the copy what a client's inventory lists.

    Args:
        store: the copy.
        values: the inventory, or its values as the client sent them.
        accept: whether a person on the server lets a mass change pass.
        session: the arrivals that were taken over already; a new session when left out.

    Raises:
        ResilienceError: the inventory cannot be used.
        OSError: the copy cannot be read or written to.
    """
    listed = values if isinstance(values, ClientInventory) else parse(values, store)
    if session is None:
        with ArrivalSession(store) as session:
            return apply_inventory(store, listed, accept=accept, session=session)
    with store.locked("placement"):
        recover_moves(store)
        return _Placement(store, listed, session).run(accept=accept)


def accept_refused(store: Store, name: str = "") -> PlacementResult | None:
    """Apply a refused inventory.

    Args:
        store: the copy.
        name: the inventory's identifier; empty for the only one that waits.

    Returns:
        None where none waits.

    Raises:
        ResilienceError, OSError: as `apply_inventory` and `client_inventory.chosen_refused`.
    """
    waiting = client_inventory.chosen_refused(store, name)
    if waiting is None:
        return None
    return apply_inventory(store, client_inventory.listed_of(store, waiting), accept=True)


def recover_moves(store: Store) -> None:
    """Complete the ledger after a job that was killed between its moves. Call it with the lock.

    Raises:
        OSError: the ledger cannot be written.
    """
    intents = store.intents()
    if intents is None:
        return
    ledger, held = store.ledger(), store.backups()
    moved = {
        path
        for path, folder in intents.aside.items()
        if os.path.lexists(os.path.join(store.root, folder, path))
    }
    previous = store.previous_ledger()
    for path in moved:
        _keep_entry(previous, ledger, intents.aside[path], path)
    for path, entry in intents.place.items():
        in_place = held.get(path) == entry.bytes
        if in_place and (path in moved or path not in intents.aside):
            ledger[path] = entry
    if moved:
        store.save_previous_ledger(previous)
    store.save_ledger(ledger)
    store.drop_intents()


def _keep_entry(
    previous: MutableMapping[str, LedgerEntry],
    ledger: MutableMapping[str, LedgerEntry],
    folder: str,
    path: str,
) -> None:
    """Move what is known of a backup to what is known of previous versions."""
    if entry := ledger.pop(path, None):
        previous[f"{folder}/{path}"] = entry


class _Placement:
    """State of one placement."""

    def __init__(self, store: Store, listed: ClientInventory, session: ArrivalSession) -> None:
        self.store = store
        self.listed = listed
        self.session = session
        # Most nights they have all paths but the new ones.
        self.ledger = store.ledger(listed.files)
        self.held = store.backups(listed.files)
        self.arrived = store.incoming_backups()
        self.rotten = store.stored_paths("rotten")
        self.now = time.time()
        self.result = PlacementResult(
            old_folder=_unused_old_folder(store), rejected=list(listed.rejected)
        )
        self.ledger_changed = not store.has("ledger")
        # What the filesystem does not let go, by an attribute or the rights of a folder.
        self.unmovable: set[str] = set()
        self.gone = sorted(
            path
            for path in only_in(self.held, listed.files)
            if path.partition("/")[0] not in listed.unread and path not in listed.in_progress
        )

    def run(self, *, accept: bool) -> PlacementResult:
        """Place what is new, then replace and move aside unless that must be refused."""
        result = self.result
        self._note_lost()
        self._note_cut_off()
        result.placed = self._new()
        result.placed.table.share(self.listed.files)
        self.session.share_paths(self.listed.files)
        self._move(place=result.placed)
        differing = self._differing()
        held = (path for path in sorted(self.rotten) if path in self.held)
        repaired = list(self._arrived(path for path in held if path in self.listed.files))
        result.repaired = [path for path in repaired if self._is_known_content(path)]
        days = self._days()
        refused = "" if accept else self._refusal(differing, days)
        if refused:
            result.refused = refused
            self._move(aside=result.repaired, place=result.repaired)
            result.refused_id = client_inventory.keep_refused(self.store, self.listed, refused)
            self.store.alarms.set(
                MASS_CHANGE,
                _("%(why)s; refused inventory %(id)s", why=refused, id=result.refused_id),
            )
        else:
            result.replaced = list(self._arrived(differing))
            result.aside = list(self.gone)
            place = sorted({*result.replaced, *result.repaired})
            self._move(aside=sorted({*place, *self.gone}), place=place)
            self.store.alarms.set(MASS_CHANGE, None)
            client_inventory.drop_refused(self.store)
        self._note_unmovable(is_complete=not refused)
        result.placed.update([*result.replaced, *result.repaired])
        aside = set(result.aside)
        back = [path for path in self.rotten if path in result.placed or path in aside]
        if back:
            self.store.change_stored_paths("rotten", remove=back)
        replaced = [path for path in result.replaced if not self.store.is_beside(path)]
        days = self._save_days([] if accept else days, 0 if accept else len(replaced))
        note_rewritten(self.store, days, [] if accept else replaced)
        self.store.save("last", {"time": self.now, "listed": len(self.listed.files)})
        return result

    def _new(self) -> PathList:
        """Return the backups that the copy lacks and that have arrived with the listed content."""
        if not (self.held or self.arrived) and self._is_all_new():
            return PathList(self.listed.files)
        return PathList(self._arrived(only_in(self.listed.files, self.held)))

    def _is_all_new(self) -> bool:
        """Return whether just what is listed was taken over, with the listed content."""
        return self.session.arrivals == self.listed.files

    def _note_lost(self) -> None:
        """Report backups that the ledger knows and that are gone."""
        lost = list(only_in(self.ledger, self.held))
        for path in lost:
            del self.ledger[path]
        if lost:
            self.ledger_changed = True
            self.result.lost = sorted(lost)
            self.store.change_stored_paths("lost", add=lost)

    def _note_cut_off(self) -> None:
        """Mark backups as rotten whose size is not the one that the ledger knows.

        A server that lost power may leave them empty. No client has written them: what the next
        sync brings repairs them, as it does other rot.
        """
        known = self.ledger.view(SIZES, 1)
        if known == self.held:
            return
        changed = [path for path, size in known.items() if self.held.get(path) != size]
        if changed:
            self.rotten |= self.store.change_stored_paths("rotten", add=changed)

    def _differing(self) -> list[str]:
        """Return listed backups of which the copy holds other content than listed."""
        found: list[str] = []
        if self.held and not self.ledger:
            self._learn_held()
        for path, listed in self.listed.files.items() if self.held else ():
            if path not in self.held:
                continue
            try:
                if self._held_digest(path) != listed.sha256:
                    found.append(path)
            except OSError:
                self.result.unreadable.append(path)
        if self.result.unreadable:
            self.store.alarms.set(
                UNREADABLE, _("cannot be read: %(files)s", files=names(self.result.unreadable))
            )
        return found

    def _learn_held(self) -> None:
        """Read all that is held and listed: nothing is known of it."""
        rows = ledger_builder(self.listed.files)
        for path in self.listed.files:
            if path in self.held:
                with contextlib.suppress(OSError):  # it is met again, and reported
                    rows.add(path, self._read_now(path))
        self.ledger, self.ledger_changed = rows.table(), True

    def _read_now(self, path: str) -> LedgerEntry:
        digest = tree_digests.sha256(os.path.join(self.store.root, path))
        return LedgerEntry(digest, self.held[path], self.now, self.now)

    def _held_digest(self, path: str) -> str:
        """Return the digest of a backup of the copy, from the ledger or read now."""
        entry: LedgerEntry | None = self.ledger.get(path)
        if entry is None:
            entry = self.ledger[path] = self._read_now(path)
            self.ledger_changed = True
        return entry.sha256

    def _is_known_content(self, path: str) -> bool:
        """Return whether the listed content is the one that the ledger knows."""
        entry = self.ledger.get(path)
        return entry is not None and entry.sha256 == self.listed.files[path].sha256

    def _arrived(self, paths: Iterable[str]) -> Iterator[str]:
        """Yield those backups that have arrived with the listed content; note the others."""
        for path in paths:
            if path in self.result.replaced or path in self.result.repaired:
                continue
            # What was taken over already is moved again only where a newer one has arrived.
            arrival = self.session.arrival(path)
            if arrival is not None and path in self.arrived:
                arrival = None
            if arrival is None and not self.session.take_over(path):
                if path in self.arrived:
                    self.result.unfit.append(path)
                elif path not in self.rotten:
                    self.result.missing.append(path)
                continue
            expected = self.listed.files[path]
            sha256, size = arrival or ("", self.session.size(path))
            # What has another size is not read.
            if size == expected.bytes and (
                (sha256 or self.session.digest(path)) == expected.sha256
            ):
                yield path
            else:
                self.session.discard(path)
                self.result.unfit.append(path)

    def _refusal(self, differing: list[str], days: list[DayState]) -> str:
        """Return why the changes look like an attack or a mistake; empty where they do not."""
        if not (differing or self.gone):
            return ""
        limits = offsite_guards.Limits(change_percent=self.store.settings.change_percent)
        # Only backups count, not what lies beside one.
        before = self._backups_of(self.held)
        after = self._backups_of(self.held)
        for path in self.gone:
            after.pop(path, None)
        after.update(self._backups_of(self._placed_sizes()))
        differing = [path for path in differing if not self.store.is_beside(path)]
        # Only what arrived counts: a size that was merely announced says nothing.
        after.update((path, (self.held[path], 1)) for path in differing)
        since = offsite_guards.SINCE_INVENTORY
        found = offsite_guards.changes(after, limits, before, since=since)
        found = found or offsite_guards.window_changes(after, len(differing), days, limits)
        again = [path for path in differing if path in self.arrived]
        again = [path for path in again if not self.store.is_beside(path)]
        found += offsite_guards.rewritten(len(again), days, self.store.settings.most_rewritten)
        return join(found, "; ")

    def _backups_of(
        self, sizes: Mapping[str, int] | Iterable[tuple[str, int]]
    ) -> PathTable[FileState]:
        items = sizes.items() if isinstance(sizes, Mapping) else sizes
        return PathTable(
            STATES, ((path, (size, 0)) for path, size in items if not self.store.is_beside(path))
        )

    def _placed_sizes(self) -> Iterator[tuple[str, int]]:
        for path in self.result.placed:
            yield path, self.listed.files[path].bytes

    def _days(self) -> list[DayState]:
        return offsite_guards.days_from(self.store.load("days").get("days"))

    def _save_days(self, days: list[DayState], replaced: int) -> list[DayState]:
        aside = set(self.result.aside)
        placed = self.result.placed
        kept = (path for path in self.held if path not in aside and path not in placed)
        backups = (path for path in chain(kept, placed) if not self.store.is_beside(path))
        days = offsite_guards.with_today(days, self.now, backups, replaced)
        self.store.save("days", {"days": [dataclasses.asdict(day) for day in days]})
        return days

    def _move(self, *, place: Sequence[str], aside: Sequence[str] = ()) -> None:
        """Move backups aside, then arrivals to their places; the intents are written first."""
        if place or aside:
            folder = self.result.old_folder
            entries = self._entries(place)
            if place:  # a file gets its name only when it is on the disk
                sync_filesystem(self.store.placing)
            self.store.save_intents(Intents(entries, dict.fromkeys(aside, folder)))
            previous = self.store.previous_ledger() if aside else {}
            for path in aside:
                target = os.path.join(self.store.root, folder, path)
                try:
                    rename_new(os.path.join(self.store.root, path), target)
                except PermissionError:
                    self.unmovable.add(path)
                    continue
                if path in self.rotten:  # its content is not the one that the ledger knows
                    self.ledger.pop(path, None)
                _keep_entry(previous, self.ledger, folder, path)
            with FolderMove(self.session.folder, self.store.root) as folders:
                for path in place:
                    if path not in self.unmovable:
                        folders.move(path)
            if self.unmovable:
                moved = (path for path in place if path not in self.unmovable)
                self.ledger.update((path, entries[path]) for path in moved)
            elif isinstance(entries, PathTable) and not self.ledger:
                self.ledger = entries
            else:
                self.ledger.update(entries)
            self.ledger_changed = True
            if aside:
                self.store.save_previous_ledger(previous)
            self.ledger.share(self.listed.files)
        if self.ledger_changed:
            self.store.save_ledger(self.ledger)
            self.store.drop_intents()
            self.ledger_changed = False

    def _note_unmovable(self, *, is_complete: bool) -> None:
        """Report backups that could not be moved aside; the others were.

        Args:
            is_complete: whether all that is to be moved was tried.
        """
        result, stuck = self.result, self.unmovable
        for moved in (result.aside, result.replaced, result.repaired):
            moved[:] = [path for path in moved if path not in stuck]
        if stuck:
            self.store.alarms.set(
                UNMOVABLE,
                _("cannot be moved aside: %(files)s", files=names(sorted(stuck))),
            )
        elif is_complete:
            self.store.alarms.set(UNMOVABLE, None)

    def _entries(self, place: Sequence[str]) -> Mapping[str, LedgerEntry]:
        """Return the ledger's entries of backups that get their place."""
        if len(place) == len(self.listed.files) and self._is_all_new():
            return new_entries(self.session.arrivals, self.now)
        return _NewEntries(place, self._new_entry)

    def _new_entry(self, path: str) -> LedgerEntry:
        sha256, size = self.session.arrival(path) or ("", 0)
        sha256, size = sha256 or self.session.digest(path), size or self.session.size(path)
        # The next daily job reads it before all others: what was digested may not be on the disk.
        return LedgerEntry(sha256, size, self.now, 0.0)


class _NewEntries(Mapping[str, LedgerEntry]):
    """The ledger's entries of backups that get their place, each made when it is needed."""

    def __init__(self, paths: Sequence[str], entry: Callable[[str], LedgerEntry]) -> None:
        self._paths, self._entry = paths, entry

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __getitem__(self, path: str) -> LedgerEntry:
        return self._entry(path)


def note_rewritten(store: Store, days: list[DayState], replaced: list[str]) -> None:
    """Raise the alarm of backups that were written again, or clear it when the days are over."""
    count = sum(day.changed for day in days)
    if replaced:
        store.alarms.set(
            REWRITTEN,
            ngettext(
                "%(count)d backup was written again by its client, last %(files)s; the earlier "
                "content is kept in an old folder",
                "%(count)d backups were written again by their client, last %(files)s; the earlier "
                "content is kept in old folders",
                count,
                files=names(replaced),
            ),
        )
    elif not count:
        store.alarms.set(REWRITTEN, None)


def _unused_old_folder(store: Store) -> str:
    """Return the name of a folder for what is moved aside now, which does not exist yet."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    while True:
        name = f"old_{moment:%Y%m%d_%H%M%S}"
        if not os.path.lexists(os.path.join(store.root, name)):
            return name
        moment += datetime.timedelta(seconds=1)
