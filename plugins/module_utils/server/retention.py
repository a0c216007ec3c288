# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup server's own job: puts what came into its place, and lets go of nothing too early.

What comes over the network lands in `incoming` and nowhere else. From there a backup gets its place
only if its content has the digest that the client's inventory names, and never over another one.
What that inventory no longer lists is moved to `old_<date>_<time>`, unless so much would go that it
looks like an attack or a mistake; what was moved aside is kept for days, and the newest good backup
of a tier for ever.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping

from ..backup import file_kind
from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..inventory import backup_names, inventory
from ..inventory.inventory import readable
from ..offsite import offsite_guards
from .server_store import BIT_ROT, LOST, MASS_CHANGE, ROOM, SILENT, Entry, Store, rename_new

# What came and was never asked into its place is thrown away after this.
INCOMING_DAYS = 7


@dataclasses.dataclass(frozen=True)
class Listed:
    """One backup as the client's inventory names it."""

    sha256: str
    bytes: int


@dataclasses.dataclass
class Settled:
    """What came of one inventory.

    Attributes:
        placed: backups that got their place.
        replaced: those of them whose earlier content was moved aside.
        aside: backups that were moved aside because the client no longer lists them.
        missing: listed backups that are neither here nor have come.
        unfit: backups that came with other content than listed; they are thrown away.
        refused: in words why nothing was replaced or moved aside; empty where that was done.
        old_folder: where to, relative to the copy.
    """

    placed: list[str] = dataclasses.field(default_factory=list)
    replaced: list[str] = dataclasses.field(default_factory=list)
    aside: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    unfit: list[str] = dataclasses.field(default_factory=list)
    refused: str = ""
    old_folder: str = ""


def read_inventory(
    values: object, store: Store
) -> tuple[dict[str, Listed], frozenset[str], frozenset[str]]:
    """What the client sent: the backups it lists, tiers it could not read, paths it still writes.

    Raises:
        ResilienceError: it is no inventory, or names what is no backup's path.
    """
    listed = {}
    try:
        if not isinstance(values, dict):
            raise TypeError("not an object")
        for path, (digest, size) in values["files"].items():
            if not store.accepts(path) or not re.fullmatch(r"[0-9a-f]{64}", digest):
                raise ValueError(readable(path)[:200])
            listed[path] = Listed(digest, int(size))
        unread = frozenset(str(tier) for tier in values["unread"])
        unfinished = frozenset(str(path) for path in values["in_progress"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResilienceError(
            f"the inventory cannot be used: {error}",
            option="inventory",
            remedy="use the same tiers and pattern on both sides",
        ) from error
    return listed, unread, unfinished


def settle(
    store: Store,
    values: object,
    *,
    accept: bool = False,
    digest: Callable[[str], str] = inventory.sha256,
) -> Settled:
    """Makes the copy what the client's inventory says, as far as that may be.

    Args:
        store: the copy.
        values: the inventory as the client sent it.
        accept: whether a mass change is let through, which only someone on the server may say.
        digest: gives the SHA-256 of a file that has arrived.

    Raises:
        ResilienceError: the inventory cannot be used.
        OSError: the copy cannot be read or written to.
    """
    listed, unread, unfinished = read_inventory(values, store)
    with store.locked():
        return _Settling(store, listed, unread, unfinished, digest).run(values, accept=accept)


class _Settling:
    def __init__(
        self,
        store: Store,
        listed: Mapping[str, Listed],
        unread: frozenset[str],
        unfinished: frozenset[str],
        digest: Callable[[str], str],
    ) -> None:
        self.store = store
        self.digest = digest
        self.listed = listed
        self.ledger = store.ledger()
        self.held = store.held()
        self.arrived = store.arrived()
        self.now = time.time()
        self.done = Settled(old_folder=f"old_{datetime.datetime.now(datetime.UTC):%Y%m%d_%H%M%S}")
        self.gone = sorted(
            path
            for path in self.held.keys() - listed.keys()
            if path.partition("/")[0] not in unread and path not in unfinished
        )

    def run(self, values: object, *, accept: bool) -> Settled:
        for path in [path for path in self.ledger if path not in self.held]:
            del self.ledger[path]
        differing = []
        for path, wanted in sorted(self.listed.items()):
            if path not in self.held:
                self._bring(path, wanted)
            elif self._digest_held(path) != wanted.sha256:
                differing.append(path)
        doubt = "" if accept else self._doubt(differing)
        if doubt:
            self.done.refused = doubt
            self.store.alarm(MASS_CHANGE, doubt)
            self.store.save("refused", {"inventory": values})
        else:
            for path in differing:
                self._bring(path, self.listed[path], instead=True)
            for path in self.gone:
                self._set_aside(path)
                self.done.aside.append(path)
            self.store.alarm(MASS_CHANGE, None)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.store.own, "refused.json"))
        self.store.keep_ledger(self.ledger)
        self.store.save("last", {"time": self.now, "listed": len(self.listed)})
        return self.done

    def _doubt(self, differing: list[str]) -> str:
        """In words why this looks like an attack or a mistake."""
        limits = offsite_guards.Limits(change_percent=self.store.settings.change_percent)
        before = {path: (seen.st_size, 0) for path, seen in self.held.items()}
        after = {path: seen for path, seen in before.items() if path not in self.gone}
        after |= {path: (self.listed[path].bytes, 0) for path in self.done.placed}
        after |= {path: (self.listed[path].bytes, 1) for path in differing}
        since = offsite_guards.SINCE_INVENTORY
        return join(offsite_guards.changes(after, limits, before, since=since), "; ")

    def _digest_held(self, path: str) -> str:
        """The digest of a backup of the copy: as the ledger knows it, or read now."""
        entry = self.ledger.get(path)
        if entry is None or entry.bytes != self.held[path].st_size:
            digest = inventory.sha256(os.path.join(self.store.root, path))
            entry = Entry(digest, self.held[path].st_size, self.now, self.now)
            self.ledger[path] = entry
        return entry.sha256

    def _bring(self, path: str, wanted: Listed, *, instead: bool = False) -> None:
        """From `incoming` to its place, if its content is the one that is wanted."""
        if path not in self.arrived:
            self.done.missing.append(path)
            return
        # Out of the reach of whoever still sends, before it is read.
        waiting = os.path.join(self.store.settling, f"{os.getpid()}")
        os.rename(os.path.join(self.store.incoming, path), waiting)
        os.chmod(waiting, self.arrived[path].st_mode & 0o777 | stat.S_IRUSR)
        seen = os.lstat(waiting)
        if seen.st_size != wanted.bytes or self.digest(waiting) != wanted.sha256:
            os.unlink(waiting)
            self.done.unfit.append(path)
            return
        if instead:
            self._set_aside(path)
            self.done.replaced.append(path)
        rename_new(waiting, os.path.join(self.store.root, path))
        self.ledger[path] = Entry(wanted.sha256, seen.st_size, self.now, self.now)
        self.done.placed.append(path)

    def _set_aside(self, path: str) -> None:
        target = os.path.join(self.store.root, self.done.old_folder, path)
        rename_new(os.path.join(self.store.root, path), target)
        self.ledger.pop(path, None)


def accept(store: Store) -> Settled | None:
    """Lets the last refused inventory through; None where none is waiting.

    Raises:
        ResilienceError, OSError: as `settle`.
    """
    waiting = store.load("refused").get("inventory")
    return settle(store, waiting, accept=True) if waiting else None


@dataclasses.dataclass
class Tended:
    """What the daily job did.

    Attributes:
        dropped: files of `old_...` folders that were kept long enough.
        kept_longer: files that would be old enough but are the newest good ones of a tier.
        read: how many backups were read and compared with the ledger.
        rotten: those of them whose content changed.
        alarms: what is wrong, by kind.
    """

    dropped: list[str] = dataclasses.field(default_factory=list)
    kept_longer: list[str] = dataclasses.field(default_factory=list)
    read: int = 0
    rotten: list[str] = dataclasses.field(default_factory=list)
    alarms: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def tend(store: Store) -> Tended:
    """The daily job: reads a share of the copy again, drops what was kept long enough, looks
    whether the client still comes and whether there is room.

    Raises:
        ResilienceError, OSError: the copy cannot be read or written to.
    """
    done = Tended()
    now = time.time()
    with store.locked():
        ledger, held = store.ledger(), store.held()
        lost = sorted(path for path in ledger if path not in held)
        store.alarm(
            LOST, _("no longer in the copy: %(files)s", files=_names(lost)) if lost else None
        )
        _reread(store, ledger, held, done, now)
        store.keep_ledger(ledger)
        _drop_old(store, ledger, held, done, now)
        _drop_incoming(store, now)
        silent = (now - float(store.load("last").get("time", now))) / 3600
        words = _(
            "no inventory came for %(hours)s hours: is the host that sends it alive?",
            hours=f"{silent:.0f}",
        )
        store.alarm(SILENT, words if silent > store.settings.silent_hours else None)
        store.alarm(ROOM, None if store.room() else _("the disk is full up to its reserve"))
        done.alarms = store.alarms()
    return done


def _names(paths: list[str]) -> str:
    named = join(readable(path) for path in paths[:5])
    if len(paths) <= 5:
        return named
    return _("%(files)s and %(count)d more", files=named, count=len(paths) - 5)


def _reread(
    store: Store,
    ledger: dict[str, Entry],
    held: Mapping[str, os.stat_result],
    done: Tended,
    now: float,
) -> None:
    """Reads those that were not read for longest: a day's share, and all that are overdue."""
    days = store.settings.reread_days
    share = sum(seen.st_size for seen in held.values()) / max(1, days)
    rotten = []
    for path in sorted(held, key=lambda name: ledger[name].read if name in ledger else 0.0):
        entry = ledger.get(path)
        if entry and share <= 0 and now - entry.read < days * 86400:
            break
        share -= held[path].st_size
        digest = inventory.sha256(os.path.join(store.root, path))
        done.read += 1
        if entry is None:
            ledger[path] = Entry(digest, held[path].st_size, now, now)
        elif entry.sha256 == digest:
            ledger[path] = Entry(digest, entry.bytes, entry.arrived, now)
        else:
            rotten.append(path)
    done.rotten = rotten
    # Not read today is not mended: what was rotten stays named until it reads well again.
    named_before = set(store.load("rotten").get("paths", []))
    still = sorted(
        path
        for path in named_before | set(rotten)
        if path in ledger and (path in rotten or ledger[path].read < now)
    )
    store.save("rotten", {"paths": still})
    rotted = _("the content changed in its place: %(files)s", files=_names(still))
    store.alarm(BIT_ROT, rotted if still else None)


def is_good(path: str, least_bytes: int) -> bool:
    """Whether a file can be a backup at all: a regular one, of some size, that begins like one."""
    try:
        seen = os.lstat(path)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size < least_bytes:
            return False
        with open(path, "rb") as file:
            head = file.read(file_kind.HEAD_BYTES)
    except OSError:
        return False
    return bool(file_kind.compression(head) or file_kind.dump_format(head))


def _moment(name: str, store: Store) -> str:
    match = store.pattern.match(os.path.basename(name))
    return (match and backup_names.taken_at(match)) or ""


def _drop_old(
    store: Store,
    ledger: Mapping[str, Entry],
    held: Mapping[str, os.stat_result],
    done: Tended,
    now: float,
) -> None:
    """Drops what was moved aside long ago, but never the newest good backup of a tier."""
    least = store.settings.least_bytes
    old = store.aside()
    rotten = set(store.load("rotten").get("paths", []))
    newest: dict[str, str] = {}
    for tier in store.tiers:
        own = [path for path in held if path.startswith(f"{tier}/") and path not in rotten]
        for folder, paths in old.items():
            own += [f"{folder}/{path}" for path in paths if path.startswith(f"{tier}/")]
        for path in sorted(own, key=lambda name: (_moment(name, store), name), reverse=True):
            if is_good(os.path.join(store.root, path), least):
                newest[tier] = path
                break
    for folder, paths in old.items():
        moved = datetime.datetime.strptime(folder, "old_%Y%m%d_%H%M%S").replace(tzinfo=datetime.UTC)
        if now - moved.timestamp() < store.settings.keep_days * 86400:
            continue
        for path in paths:
            tier, whole = path.partition("/")[0], f"{folder}/{path}"
            if newest.get(tier, whole) == whole:
                done.kept_longer.append(whole)
                continue
            os.unlink(os.path.join(store.root, whole))
            done.dropped.append(whole)
        for tier in (*store.tiers, ""):
            # Only what is empty goes: a file that is no backup of ours stays.
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(store.root, folder, tier))


def _drop_incoming(store: Store, now: float) -> None:
    """Also what a job that was killed had just taken out of `incoming`: it is sent again."""
    for folder in (store.incoming, store.settling):
        for path in _below(folder):
            with contextlib.suppress(OSError):
                if now - os.lstat(path).st_ctime > INCOMING_DAYS * 86400:
                    os.unlink(path)


def _below(folder: str) -> Iterator[str]:
    for parent, _folders, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)
