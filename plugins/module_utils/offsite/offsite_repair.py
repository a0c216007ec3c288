# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repair of the offsite copy: verify, let a sync repair what it can, verify, and list what is left.

What a sync cannot do takes a person: each of it is listed with what to do.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..common.messages import _, join, ngettext
from ..inventory import companions
from ..inventory.inventory import readable
from . import offsite_verification
from .offsite_settings import FAILED, LOCKED, REFUSED, SyncResult, SyncSettings
from .sync import sync

# Files that a sentence names.
_SHOWN = 5
_ACCEPT = _(
    "look at the refused inventories on the server (keep-offsite-copy.sh CLIENT), and accept the "
    "one that is right: --accept ID"
)
_CLEAR = _("look at it on the server, and clear it there: keep-offsite-copy.sh CLIENT --clear")
_REMEDIES: Mapping[str, str] = {
    "mass-change": _ACCEPT,
    "bit-rot": _("look at the server's disk; the next sync replaces what this host still has"),
    "lost": _("look who removed it there; what this host still has is there again by now"),
    "unreadable": _("look at the server's disk, and at owner and mode of the file"),
    "silent": _("it ends with the server's next daily job"),
    "room": _("make room on the server"),
    "refused-request": _CLEAR,
    "incoming-blocked": _("look into .chefwell/quarantine on the server, then clear it: --clear"),
    "job-failed": _("look at server.log of the copy on the server"),
    "state-damaged": _CLEAR,
    "copy-not-mounted": _("mount the copy's disk on the server"),
    "previous-version-rot": _(
        "an earlier version is spoilt; if it is not needed, clear it on the server: --clear"
    ),
    "rewritten": _("find out what writes backups again; it ends after seven days with a sync"),
    "clock-jumped": _("look at the server's clock"),
    "unmovable": _(
        "look at the attributes of the file and of its folder on the server (lsattr), and at their "
        "owner"
    ),
}


@dataclasses.dataclass(frozen=True)
class Left:
    """What is left to do for a person: the matter, and the remedy."""

    what: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Repair:
    """Result of one repair.

    Attributes:
        sync: the sync that repaired.
        before, after: the verifications around it.
        repaired: backups that differed before and are equal now.
        left: what is left to do.
    """

    sync: SyncResult
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    repaired: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 nothing is left, 1 something is, 2 the sync failed, 3 the copy could not be read."""
        if self.sync.status == FAILED:
            return 2
        if self.left:
            return 3 if offsite_verification.verify_exit_code(self.after) == 3 else 1
        return 0


def repair(
    settings: SyncSettings,
    *,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Repair:
    """Repair the copy at one destination.

    Args:
        settings: of the sync.
        full: whether everything is read again first, on both sides.
        progress: as for `verify`.

    Raises:
        ResilienceError: one side could not be read, so nothing is known.
    """
    before = offsite_verification.verify(settings, full=full, files=False, progress=progress)
    done = sync(settings)
    after = offsite_verification.verify(settings, files=False)
    repaired = sorted(_differing(before) - _differing(after))
    left = [*_left(done, after), *_left_behind(settings)]
    return Repair(done, before, after, tuple(repaired), tuple(left))


def _differing(verification: Mapping[str, Any]) -> set[str]:
    comparison = verification["comparison"]
    return {*comparison["missing"], *comparison["different"]}


def _left(done: SyncResult, after: Mapping[str, Any]) -> list[Left]:
    found = []
    if done.status in (FAILED, REFUSED, LOCKED):
        found.append(Left(done.message, done.remedy))
    rotted = set(after["rotted"]["local"])
    for path in sorted(rotted):
        what = _("%(file)s: the content changed on this host, the copy is as it was", file=path)
        remedy = _("fetch it from the copy and put it in its place: --from-offsite restores it")
        found.append(Left(what, remedy))
    comparison = after["comparison"]
    remedy = _("look at the sync's message, and at the server")
    for path in comparison["missing"]:
        if path not in rotted:
            found.append(Left(_("%(file)s: missing in the copy", file=path), remedy))
    for path in comparison["different"]:
        if path not in rotted:
            found.append(Left(_("%(file)s: other content in the copy", file=path), remedy))
    for problem in comparison["unknown"]:
        found.append(Left(problem, _("make it readable")))
    sentences = [*after["server_alarms"], *after["server_notices"]]
    for kind, sentence in zip(after["server_alarm_kinds"], sentences):
        found.append(Left(sentence, _REMEDIES.get(kind, _CLEAR)))
    return found


def _left_behind(settings: SyncSettings) -> list[Left]:
    """Return what a rotation has left behind here of backups that it deleted.

    The copy mirrors the tree, so these files stay in it for as long as they are here.
    """
    root = settings.backup_path
    found = companions.left_behind(
        settings.source.scan().states, lambda path: os.path.lexists(os.path.join(root, path))
    )
    if not found:
        return []
    shown = ", ".join(map(readable, found[:_SHOWN])) + (", …" if len(found) > _SHOWN else "")
    what = ngettext(
        "%(count)d file belongs to a backup that is gone: %(files)s",
        "%(count)d files belong to backups that are gone: %(files)s",
        len(found),
        files=shown,
    )
    remedy = _("delete them here; the next sync moves their copies to an old folder")
    return [Left(what, remedy)]


def message(repaired: Repair) -> str:
    """Return one sentence on a repair."""
    return join(
        [
            _("%(count)d repaired", count=len(repaired.repaired)),
            _("%(count)d moved aside on the server", count=repaired.sync.files_aside),
            _("%(count)d left to do", count=len(repaired.left)),
        ]
    )
