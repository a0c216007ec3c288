# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory that a client sends after a transfer, and refused inventories that wait.

A path that is not a backup's is rejected alone: the rest of the inventory counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from ..common import json_stream
from ..common.errors import ResilienceError
from ..inventory.path_block import SHA256, RowForm
from ..inventory.path_table import PathTable
from .server_store import Store

MOST_REFUSED = 20
# An inventory lists no more backups than these: what is known of each takes memory.
MOST_FILES = 1_000_000
# What malformed values raise where they are used.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ListedBackup(NamedTuple):
    """One backup of a client's inventory: SHA-256 and bytes of its content."""

    sha256: str
    bytes: int


_LISTED = RowForm(f"{SHA256}q", lambda one: one, lambda _path, *fields: ListedBackup(*fields))
# More bytes than any file can have.
_MOST_BYTES = (1 << 63) - 1


@dataclasses.dataclass(frozen=True)
class ClientInventory:
    """A client's inventory.

    Attributes:
        files: the backups that it lists, by path.
        unread: tiers that the client could not read.
        in_progress: paths that are still being written there.
        rejected: paths that are not a backup's by the server's tiers and pattern.
    """

    files: PathTable[ListedBackup]
    unread: frozenset[str]
    in_progress: frozenset[str]
    rejected: tuple[str, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return what a client sends for such an inventory, rejected paths left out."""
        return {
            "files": self.files,
            "unread": sorted(self.unread),
            "in_progress": sorted(self.in_progress),
        }


def parse(values: object, store: Store) -> ClientInventory:
    """Return the inventory of the values that a client sent.

    Raises:
        ResilienceError: they are not an inventory.
    """
    reader = _Reader(store)
    with reader.errors_named():
        if not isinstance(values, dict):
            raise TypeError("not an object")
        for path, one in values["files"].items():
            reader.take(path, one)
        return reader.inventory(values)


def read(stream: IO[str], store: Store) -> ClientInventory:
    """Return the inventory that a client sends as JSON, read part by part.

    Raises:
        ResilienceError: it is not an inventory.
        ValueError: it is no JSON.
    """
    return _read_at(stream, store, ())


def _read_at(stream: IO[str], store: Store, keys: tuple[str, ...]) -> ClientInventory:
    """Return the inventory in a JSON value, to which these keys lead."""
    reader = _Reader(store)
    problem: list[Exception] = []

    def take(path: str, one: Any) -> None:
        if not problem:
            try:
                reader.take(path, one)
            except _MALFORMED as error:  # raised when it is known to be JSON
                problem.append(error)

    values = json_stream.load(stream, {(*keys, "files"): take})
    with reader.errors_named():
        if problem:
            raise problem[0]
        for key in keys:
            values = values[key]
        if not isinstance(values, dict):
            raise TypeError("not an object")
        if values["files"] != {}:
            raise TypeError("files is not an object")
        return reader.inventory(values)


class _Reader:
    """Collects the backups of one inventory."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._files: PathTable[ListedBackup] = PathTable(_LISTED)
        self._rejected: list[str] = []

    @staticmethod
    @contextlib.contextmanager
    def errors_named() -> Iterator[None]:
        """Turn what malformed values raise within the context into one error."""
        try:
            yield
        except _MALFORMED as error:
            raise ResilienceError(
                f"the inventory cannot be used: {type(error).__name__}: {str(error)[:200]}",
                option="inventory",
                remedy="use the same version of the collection on both sides",
            ) from error

    def take(self, path: str, one: Any) -> None:
        """Add one backup of the inventory."""
        digest, size = one
        if not _DIGEST.fullmatch(digest):
            raise ValueError("a digest is not a SHA-256")
        if len(self._files) + len(self._rejected) >= MOST_FILES:
            raise ValueError(f"more than {MOST_FILES} backups")
        if self._store.accepts(path):
            self._files.add(path, (digest, max(-1, min(int(size), _MOST_BYTES))))
        else:
            self._rejected.append(path)

    def inventory(self, values: Mapping[str, Any]) -> ClientInventory:
        """Return the inventory with the other values of it."""
        unread = frozenset(str(tier) for tier in values["unread"])
        in_progress = frozenset(str(path) for path in values["in_progress"])
        return ClientInventory(self._files, unread, in_progress, tuple(sorted(self._rejected)))


@dataclasses.dataclass(frozen=True)
class RefusedInventory:
    """A refused inventory that waits for a person.

    Attributes:
        id: names it for `--accept`.
        time: when it was refused, ISO 8601.
        reason: why.
    """

    id: str
    time: str
    reason: str


def keep_refused(store: Store, listed: ClientInventory, reason: str) -> str:
    """Store a refused inventory and return its identifier.

    The same inventory has the same identifier; beyond `MOST_REFUSED` the oldest are dropped.

    Raises:
        OSError: it cannot be stored.
    """
    name, values = _identifier(listed), listed.values()
    folder = _folder(store)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    json_stream.replace(
        os.path.join(folder, f"{name}.json"),
        {"time": moment, "reason": str(reason), "inventory": values},
    )
    for old in refused(store)[:-MOST_REFUSED]:
        drop_refused(store, old.id)
    return name


def _identifier(listed: ClientInventory) -> str:
    content = hashlib.sha256()
    for part in json_stream.parts(listed.values()):
        content.update(part.encode())
    return content.hexdigest()[:12]


def refused(store: Store) -> list[RefusedInventory]:
    """Return the refused inventories that wait, the oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(_folder(store)):
            if not re.fullmatch(r"[0-9a-f]{12}\.json", name):
                continue
            path = os.path.join(_folder(store), name)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                with json_stream.opened(path) as file:
                    # What it lists is read when a person chooses it.
                    values = json_stream.load(file, {("inventory", "files"): _skip})
                if isinstance(values["inventory"], dict):
                    found.append(
                        RefusedInventory(name[:-5], str(values["time"]), str(values["reason"]))
                    )
    return sorted(found, key=lambda one: (one.time, one.id))


def _skip(_path: str, _one: object) -> None:
    """Take nothing."""


def listed_of(store: Store, waiting: RefusedInventory) -> ClientInventory:
    """Return what a refused inventory lists.

    Raises:
        ResilienceError: it is not an inventory any more.
        OSError: it cannot be read.
    """
    path = os.path.join(_folder(store), f"{waiting.id}.json")
    try:
        with json_stream.opened(path) as file:
            listed = _read_at(file, store, ("inventory",))
        # What is accepted is just what was refused.
        if _identifier(listed) != waiting.id:
            raise ValueError("it lists something else")
    except ValueError as error:
        raise ResilienceError(
            f"the refused inventory is damaged: {error}",
            option="--accept",
            value=waiting.id,
            remedy="let the client sync again, which sends it once more",
        ) from error
    return listed


def chosen_refused(store: Store, name: str) -> RefusedInventory | None:
    """Return the refused inventory that a person accepts.

    Args:
        store: the copy.
        name: its identifier; empty for the only one.

    Returns:
        None where none waits.

    Raises:
        ResilienceError: there is no such inventory, or there are several and none is named.
    """
    waiting = refused(store)
    if not name and len(waiting) < 2:
        return waiting[0] if waiting else None
    for one in waiting:
        if one.id == name:
            return one
    raise ResilienceError(
        "several refused inventories wait" if not name else "no such refused inventory waits",
        option="--accept",
        value=name,
        remedy="name one of these: "
        + "; ".join(f"{one.id} ({one.time}: {one.reason[:200]})" for one in waiting)
        if waiting
        else "let the client sync again, which sends it once more",
    )


def drop_refused(store: Store, name: str = "") -> None:
    """Delete a refused inventory, or all of them where none is named."""
    for one in [name] if name else [waiting.id for waiting in refused(store)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(_folder(store), f"{one}.json"))


def _folder(store: Store) -> str:
    return os.path.join(store.state_dir, "refused")
