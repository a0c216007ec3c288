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

import dataclasses
import datetime
import os
import time

from ..common.messages import _, join, ngettext
from ..inventory import tree_digests
from ..offsite import offsite_guards
from ..offsite.offsite_guards import DayState, FileState
from . import client_inventory
from .client_inventory import ClientInventory
from .incoming import ArrivalSession
from .server_alarms import MASS_CHANGE, REWRITTEN, UNREADABLE
from .server_store import Intents, LedgerEntry, Store, names, rename_new, sync_filesystem


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

    placed: list[str] = dataclasses.field(default_factory=list)
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
        values: the inventory as the client sent it.
        accept: whether a person on the server lets a mass change pass.
        session: the arrivals that were taken over already; a new session when left out.

    Raises:
        ResilienceError: the inventory cannot be used.
        OSError: the copy cannot be read or written to.
    """
    listed = client_inventory.parse(values, store)
    if session is None:
        with ArrivalSession(store) as session:
            return apply_inventory(store, values, accept=accept, session=session)
    with store.locked("placement"):
        recover_moves(store)
        return _Placement(store, listed, session).run(values, accept=accept)


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
    return apply_inventory(store, waiting.values, accept=True) if waiting else None


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
    previous: dict[str, LedgerEntry], ledger: dict[str, LedgerEntry], folder: str, path: str
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
        self.ledger = store.ledger()
        self.held = store.backups()
        self.arrived = set(store.incoming_backups())
        self.rotten = store.stored_paths("rotten")
        self.now = time.time()
        self.result = PlacementResult(
            old_folder=_unused_old_folder(store), rejected=list(listed.rejected)
        )
        self.ledger_changed = not store.has("ledger")
        self.gone = sorted(
            path
            for path in self.held.keys() - listed.files.keys()
            if path.partition("/")[0] not in listed.unread and path not in listed.in_progress
        )

    def run(self, values: object, *, accept: bool) -> PlacementResult:
        """Place what is new, then replace and move aside unless that must be refused."""
        result = self.result
        self._note_lost()
        new = {path for path in self.listed.files if path not in self.held}
        result.placed = self._arrived(new)
        self._move(place=result.placed)
        differing = self._differing()
        repaired = self._arrived(self.rotten & self.held.keys() & self.listed.files.keys())
        result.repaired = [path for path in repaired if self._is_known_content(path)]
        days = self._days()
        refused = "" if accept else self._refusal(differing, days)
        if refused:
            result.refused = refused
            self._move(aside=result.repaired, place=result.repaired)
            result.refused_id = client_inventory.keep_refused(self.store, values, refused)
            self.store.alarms.set(
                MASS_CHANGE,
                _("%(why)s; refused inventory %(id)s", why=refused, id=result.refused_id),
            )
        else:
            result.replaced = self._arrived(differing)
            result.aside = self.gone
            place = sorted({*result.replaced, *result.repaired})
            self._move(aside=sorted({*place, *self.gone}), place=place)
            self.store.alarms.set(MASS_CHANGE, None)
            client_inventory.drop_refused(self.store)
        result.placed = sorted({*result.placed, *result.replaced, *result.repaired})
        back = [*result.placed, *result.aside]
        if self.rotten.intersection(back):
            self.store.change_stored_paths("rotten", remove=back)
        replaced = [path for path in result.replaced if not self.store.is_beside(path)]
        days = self._save_days([] if accept else days, 0 if accept else len(replaced))
        note_rewritten(self.store, days, [] if accept else replaced)
        self.store.save("last", {"time": self.now, "listed": len(self.listed.files)})
        return result

    def _note_lost(self) -> None:
        """Report backups that the ledger knows and that are gone."""
        lost = [path for path in self.ledger if path not in self.held]
        for path in lost:
            del self.ledger[path]
        if lost:
            self.ledger_changed = True
            self.result.lost = sorted(lost)
            self.store.change_stored_paths("lost", add=lost)

    def _differing(self) -> list[str]:
        """Return listed backups of which the copy holds other content than listed."""
        found = []
        for path in sorted(self.listed.files.keys() & self.held.keys()):
            try:
                if self._held_digest(path) != self.listed.files[path].sha256:
                    found.append(path)
            except OSError:
                self.result.unreadable.append(path)
        if self.result.unreadable:
            self.store.alarms.set(
                UNREADABLE, _("cannot be read: %(files)s", files=names(self.result.unreadable))
            )
        return found

    def _held_digest(self, path: str) -> str:
        """Return the digest of a backup of the copy, from the ledger or read now."""
        entry = self.ledger.get(path)
        if entry is None or entry.bytes != self.held[path]:
            digest = tree_digests.sha256(os.path.join(self.store.root, path))
            entry = LedgerEntry(digest, self.held[path], self.now, self.now)
            self.ledger[path] = entry
            self.ledger_changed = True
        return entry.sha256

    def _is_known_content(self, path: str) -> bool:
        """Return whether the listed content is the one that the ledger knows."""
        entry = self.ledger.get(path)
        return entry is not None and entry.sha256 == self.listed.files[path].sha256

    def _arrived(self, paths: set[str] | list[str]) -> list[str]:
        """Return those backups that have arrived with the listed content; note the others."""
        fit = []
        for path in sorted(paths):
            if path in self.result.replaced or path in self.result.repaired:
                continue
            # What was taken over already is moved again only where a newer one has arrived.
            known = self.session.has(path) and path not in self.arrived
            if not known and not self.session.take_over(path):
                if path in self.arrived:
                    self.result.unfit.append(path)
                elif path not in self.rotten:
                    self.result.missing.append(path)
                continue
            expected = self.listed.files[path]
            size = self.session.size(path)
            if size == expected.bytes and self.session.digest(path) == expected.sha256:
                fit.append(path)
            else:
                self.session.discard(path)
                self.result.unfit.append(path)
        return fit

    def _refusal(self, differing: list[str], days: list[DayState]) -> str:
        """Return why the changes look like an attack or a mistake; empty where they do not."""
        if not (differing or self.gone):
            return ""
        limits = offsite_guards.Limits(change_percent=self.store.settings.change_percent)
        before: dict[str, FileState] = {path: (size, 0) for path, size in self.held.items()}
        after = {path: state for path, state in before.items() if path not in self.gone}
        after |= {path: (self.listed.files[path].bytes, 0) for path in self.result.placed}
        # Only what arrived counts: a size that was merely announced says nothing.
        after |= {path: (self.held[path], 1) for path in differing}
        # Only backups count, not what lies beside a sealed one.
        before, after = self._backups_of(before), self._backups_of(after)
        differing = [path for path in differing if not self.store.is_beside(path)]
        since = offsite_guards.SINCE_INVENTORY
        found = offsite_guards.changes(after, limits, before, since=since)
        found = found or offsite_guards.window_changes(after, len(differing), days, limits)
        again = [path for path in differing if path in self.arrived]
        again = [path for path in again if not self.store.is_beside(path)]
        found += offsite_guards.rewritten(len(again), days, self.store.settings.most_rewritten)
        return join(found, "; ")

    def _backups_of(self, states: dict[str, FileState]) -> dict[str, FileState]:
        return {path: state for path, state in states.items() if not self.store.is_beside(path)}

    def _days(self) -> list[DayState]:
        return offsite_guards.days_from(self.store.load("days").get("days"))

    def _save_days(self, days: list[DayState], replaced: int) -> list[DayState]:
        aside = set(self.result.aside)
        sizes = {path: size for path, size in self.held.items() if path not in aside}
        sizes |= {path: self.listed.files[path].bytes for path in self.result.placed}
        backups = [path for path in sizes if not self.store.is_beside(path)]
        days = offsite_guards.with_today(days, self.now, backups, replaced)
        self.store.save("days", {"days": [dataclasses.asdict(day) for day in days]})
        return days

    def _move(self, *, place: list[str], aside: list[str] | tuple[str, ...] = ()) -> None:
        """Move backups aside, then arrivals to their places; the intents are written first."""
        if place or aside:
            folder = self.result.old_folder
            entries = {path: self._new_entry(path) for path in place}
            if place:  # a file gets its name only when it is on the disk
                sync_filesystem(self.store.placing)
            self.store.save_intents(Intents(entries, dict.fromkeys(aside, folder)))
            previous = self.store.previous_ledger() if aside else {}
            for path in aside:
                target = os.path.join(self.store.root, folder, path)
                rename_new(os.path.join(self.store.root, path), target)
                if path in self.rotten:  # its content is not the one that the ledger knows
                    self.ledger.pop(path, None)
                _keep_entry(previous, self.ledger, folder, path)
            for path in place:
                rename_new(self.session.path(path), f"{self.store.root}/{path}")
                self.ledger[path] = entries[path]
            self.ledger_changed = True
            if aside:
                self.store.save_previous_ledger(previous)
        if self.ledger_changed:
            self.store.save_ledger(self.ledger)
            self.store.drop_intents()
            self.ledger_changed = False

    def _new_entry(self, path: str) -> LedgerEntry:
        size = self.session.size(path)
        # The next daily job reads it before all others: what was digested may not be on the disk.
        return LedgerEntry(self.session.digest(path), size, self.now, 0.0)


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
