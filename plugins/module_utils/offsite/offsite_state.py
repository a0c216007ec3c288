# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State that is stored between syncs, and the lock that keeps two from running at once."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _
from ..common.system_errors import reason
from ..inventory.inventory import Inventory
from .offsite_guards import MASS_CHANGE, FileState
from .offsite_settings import OK, WARNING, SyncResult, SyncSettings


@dataclasses.dataclass(frozen=True)
class LastGood:
    """The last sync that was completed.

    Attributes:
        time: when, ISO 8601.
        destination: the destination, as the transport names it.
        files: what the tree held; since a mass change was overridden, what it holds.
        fingerprint: `RemoteListing.fingerprint` when the server held just that; empty where it was
            not listed afterwards.
    """

    time: str
    destination: str
    files: dict[str, FileState]
    fingerprint: str = ""


@dataclasses.dataclass(frozen=True)
class SyncState:
    """State between runs."""

    last_good: LastGood | None = None
    last_run: Mapping[str, Any] | None = None


def state_path(settings: SyncSettings, ending: str) -> str:
    """Return the path of a file of this destination in the state folder."""
    name = f"offsite-{settings.name}" if settings.name else "offsite"
    return os.path.join(settings.state_dir, f"{name}{ending}")


def load_state(settings: SyncSettings) -> tuple[SyncState, str | None]:
    """Return the stored state, and the problem that it has.

    A damaged file counts as none: what the server holds still guards against a mass change.
    """
    path = state_path(settings, ".json")
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        good = values["last_good"]
        last_good = good and LastGood(
            str(good["time"]),
            str(good["destination"]),
            {str(name): (int(size), int(mtime)) for name, (size, mtime) in good["files"].items()},
            str(good.get("fingerprint", "")),
        )
        return SyncState(last_good, values["last_run"]), None
    except FileNotFoundError:
        return SyncState(), None
    except OSError as error:
        words = _("the state %(path)s cannot be read: %(why)s", path=path, why=reason(error))
        return SyncState(), words
    except (ValueError, TypeError, KeyError, AttributeError):
        return SyncState(), _(
            "the state %(path)s is damaged, so the last good sync is not known", path=path
        )


def save_state(
    settings: SyncSettings,
    state: SyncState,
    result: SyncResult,
    tree: Inventory | None,
    left_out: set[str],
    fingerprint: str = "",
) -> str | None:
    """Store the state; return the problem, or None."""
    last_good = state.last_good
    done = result.status in (OK, WARNING)
    # The mass change was overridden here; the server now wants its own confirmation, and the
    # next run here must not want another one.
    passed = result.kind == "server_guard" and any(
        refusal.guard == MASS_CHANGE for refusal in result.overridden
    )
    if (done or passed) and tree is not None:
        files = {
            file.path: (file.bytes, file.mtime_ns)
            for file in tree.files
            if file.path not in left_out
        }
        if done:
            last_good = LastGood(result.time, result.destination, files, fingerprint)
        elif last_good:
            last_good = LastGood(last_good.time, last_good.destination, files)
    values = {
        "version": 1,
        "last_good": last_good and vars(last_good),
        "last_run": {key: getattr(result, key) for key in ("time", "status", "message")},
    }
    path = state_path(settings, ".json")
    try:
        replace_json(path, values)
    except OSError as error:
        return _("the state %(path)s cannot be written: %(why)s", path=path, why=reason(error))
    return None


@contextlib.contextmanager
def locked(settings: SyncSettings) -> Iterator[int | None]:
    """Hold the lock; give its descriptor, or None where another process holds it.

    rsync inherits the descriptor, so that the lock also holds while an rsync is still running whose
    parent was killed.
    """
    path = state_path(settings, ".lock")
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(settings.state_dir, mode=0o700, exist_ok=True)
            lock = stack.enter_context(lock_file(path))
        except OSError as error:
            raise ResilienceError(
                _("the lock cannot be made: %(why)s", why=reason(error)),
                option="state_dir",
                value=path,
                remedy=_("name a folder that may be written to, and make room there"),
            ) from error
        yield lock
