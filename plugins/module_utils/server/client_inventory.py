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
import json
import os
import re
import time
from typing import Any, NamedTuple

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_json
from .server_store import Store

MOST_REFUSED = 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ListedBackup(NamedTuple):
    """One backup of a client's inventory: SHA-256 and bytes of its content."""

    sha256: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class ClientInventory:
    """A client's inventory.

    Attributes:
        files: the backups that it lists, by path.
        unread: tiers that the client could not read.
        in_progress: paths that are still being written there.
        rejected: paths that are not a backup's by the server's tiers and pattern.
    """

    files: dict[str, ListedBackup]
    unread: frozenset[str]
    in_progress: frozenset[str]
    rejected: tuple[str, ...] = ()


def parse(values: object, store: Store) -> ClientInventory:
    """Return the inventory of the values that a client sent.

    Raises:
        ResilienceError: they are not an inventory.
    """
    files: dict[str, ListedBackup] = {}
    rejected = []
    try:
        if not isinstance(values, dict):
            raise TypeError("not an object")
        for path, (digest, size) in values["files"].items():
            if not _DIGEST.fullmatch(digest):
                raise ValueError("a digest is not a SHA-256")
            if store.accepts(path):
                files[path] = ListedBackup(digest, int(size))
            else:
                rejected.append(path)
        unread = frozenset(str(tier) for tier in values["unread"])
        in_progress = frozenset(str(path) for path in values["in_progress"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResilienceError(
            f"the inventory cannot be used: {type(error).__name__}: {str(error)[:200]}",
            option="inventory",
            remedy="use the same version of the collection on both sides",
        ) from error
    return ClientInventory(files, unread, in_progress, tuple(sorted(rejected)))


@dataclasses.dataclass(frozen=True)
class RefusedInventory:
    """A refused inventory that waits for a person.

    Attributes:
        id: names it for `--accept`.
        time: when it was refused, ISO 8601.
        reason: why.
        values: as the client sent it.
    """

    id: str
    time: str
    reason: str
    values: Any


def keep_refused(store: Store, values: object, reason: str) -> str:
    """Store a refused inventory and return its identifier.

    The same inventory has the same identifier; beyond `MOST_REFUSED` the oldest are dropped.

    Raises:
        OSError: it cannot be stored.
    """
    content = json.dumps(values, sort_keys=True)
    name = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = _folder(store)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    replace_json(
        os.path.join(folder, f"{name}.json"),
        {"time": moment, "reason": str(reason), "inventory": values},
    )
    for old in refused(store)[:-MOST_REFUSED]:
        drop_refused(store, old.id)
    return name


def refused(store: Store) -> list[RefusedInventory]:
    """Return the refused inventories that wait, the oldest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(_folder(store)):
            if not re.fullmatch(r"[0-9a-f]{12}\.json", name):
                continue
            path = os.path.join(_folder(store), name)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                with open(path, encoding="utf-8") as file:
                    values = json_text.load(file)
                found.append(
                    RefusedInventory(
                        name[:-5], str(values["time"]), str(values["reason"]), values["inventory"]
                    )
                )
    return sorted(found, key=lambda one: (one.time, one.id))


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
        + "; ".join(f"{one.id} ({one.time}: {one.reason[:200]})" for one in waiting),
    )


def drop_refused(store: Store, name: str = "") -> None:
    """Delete a refused inventory, or all of them where none is named."""
    for one in [name] if name else [waiting.id for waiting in refused(store)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(_folder(store), f"{one}.json"))


def _folder(store: Store) -> str:
    return os.path.join(store.state_dir, "refused")
