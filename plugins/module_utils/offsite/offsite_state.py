# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State that is stored between syncs, and the lock that keeps two from running at once."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..common import json_stream, json_text, memory
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _
from ..common.system_errors import reason
from ..inventory.inventory import Inventory
from ..inventory.path_table import STATES, PathTable
from . import offsite_guards
from .offsite_guards import MASS_CHANGE, REWRITTEN, DayState, FileState
from .offsite_settings import OK, WARNING, SyncResult, SyncSettings

# Bytes of a state that names very many backups.
_LARGE_STATE = 1 << 20


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
    files: Mapping[str, FileState]
    fingerprint: str = ""


@dataclasses.dataclass(frozen=True)
class SyncState:
    """State between runs.

    Attributes:
        last_good: the last sync that was completed.
        days: the states of the last days with a sync.
        quiet: backups that were written again with their old size and time, with their earlier
            SHA-256.
        old_folder: the last one that was used, `old_<date>_<time>`.
    """

    last_good: LastGood | None = None
    days: tuple[DayState, ...] = ()
    quiet: Mapping[str, str] = dataclasses.field(default_factory=dict)
    old_folder: str = ""

    def like(self, table: PathTable[Any]) -> SyncState:
        """Return the same state, which has its paths in the memory of a table.

        Of very many backups, every night there are almost the same.
        """
        good = self.last_good
        if good is None or not isinstance(good.files, PathTable) or good.files.same_paths(table):
            return self
        files = good.files.like(table)
        return dataclasses.replace(self, last_good=dataclasses.replace(good, files=files))


@dataclasses.dataclass(frozen=True)
class WrittenAgainState:
    """What a sync leaves of backups that were written again.

    Attributes:
        withheld: those that did not replace the copy.
        quiet: as `SyncState.quiet`.
    """

    withheld: frozenset[str] = frozenset()
    quiet: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
        if os.path.getsize(path) > _LARGE_STATE:
            memory.give_large_blocks_back()
        files: PathTable[FileState] = PathTable(STATES)

        def take(name: str, state: Any) -> None:
            size, mtime = state
            files.add(name, (int(size), int(mtime)))

        with json_stream.opened(path) as file:
            values = json_stream.load(file, {("last_good", "files"): take})
        good = values["last_good"]
        if good and good["files"] != {}:
            raise ValueError("files is not an object")
        last_good = good and LastGood(
            str(good["time"]),
            str(good["destination"]),
            files,
            str(good.get("fingerprint", "")),
        )
        days = tuple(offsite_guards.days_from(values.get("days")))
        quiet = {str(name): str(digest) for name, digest in values.get("quiet", {}).items()}
        old_folder = str(values.get("old_folder", ""))
        return SyncState(last_good, days, quiet, old_folder), None
    except FileNotFoundError:
        return SyncState(), None
    except OSError as error:
        problem = _("the state %(path)s cannot be read: %(why)s", path=path, why=reason(error))
        return SyncState(), problem
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
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
    *,
    again: WrittenAgainState | None = None,
    old_folder: str = "",
) -> str | None:
    """Store the state; return the problem, or None.

    Args:
        settings, result, tree: of the sync.
        state: as it was loaded.
        left_out: backups of the tree that were not copied.
        fingerprint: as `LastGood.fingerprint`.
        again: what was written again.
        old_folder: the last one that was used.
    """
    last_good = state.last_good
    again = again or WrittenAgainState()
    # What is new was copied all the same.
    done = result.status in (OK, WARNING) or result.kind == REWRITTEN
    # The mass change was overridden here; the server now needs a confirmation of its own, and the
    # next run here must not need another one.
    overridden = any(refusal.guard in (MASS_CHANGE, REWRITTEN) for refusal in result.overridden)
    passed = result.kind == "server_guard" and overridden
    days = [] if passed else list(state.days)
    if (done or passed) and tree is not None:
        files = tree.rows.states
        for path in left_out:
            files.pop(path, None)
        # What was withheld is compared with what it was, until it passes.
        if last_good:
            files.update((path, last_good.files[path]) for path in again.withheld)
        if done:
            days = offsite_guards.with_today(
                [] if overridden else state.days,
                time.time(),
                files,
                0 if overridden else _changed_count(files, state, again),
            )
            last_good = LastGood(result.time, result.destination, files, fingerprint)
        elif last_good:
            last_good = LastGood(last_good.time, last_good.destination, files)
    values = {
        "version": 1,
        "last_good": last_good and vars(last_good),
        "days": [dataclasses.asdict(day) for day in days],
        "quiet": dict(again.quiet) if done or passed else dict(state.quiet),
        "old_folder": old_folder or state.old_folder,
    }
    path = state_path(settings, ".json")
    try:
        json_stream.replace(path, values)
    except OSError as error:
        return _("the state %(path)s cannot be written: %(why)s", path=path, why=reason(error))
    return None


def _changed_count(
    files: Mapping[str, FileState], state: SyncState, again: WrittenAgainState
) -> int:
    before = state.last_good.files if state.last_good else {}
    quiet = len(again.quiet.keys() - state.quiet.keys())
    return offsite_guards.changed_count(files, before) + quiet


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


def save_rotten(settings: SyncSettings, digests: Mapping[str, str]) -> None:
    """Store which backups are rotten on the server, with the digests that they had before.

    The next sync replaces them.

    Raises:
        OSError: they cannot be stored.
    """
    path = state_path(settings, "-rotten.json")
    if digests:
        replace_json(path, dict(digests))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def load_rotten(settings: SyncSettings) -> dict[str, str]:
    """Return what `save_rotten` stored."""
    try:
        with open(state_path(settings, "-rotten.json"), encoding="utf-8") as file:
            values = json_text.load(file)
        return {str(path): str(digest) for path, digest in values.items()}
    except (OSError, ValueError, AttributeError):
        return {}
