# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and result of one sync."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..inventory import backup_names, freshness, inventory
from ..inventory.tree_settings import MARKER
from .offsite_guards import Limits, Refusal
from .sync_source import PlainSource, Source
from .transport import Transport

OK, WARNING, LOCKED, REFUSED, FAILED = "ok", "warning", "locked", "refused", "failed"
EXIT_CODES = {OK: 0, WARNING: 1, LOCKED: 1, REFUSED: 2, FAILED: 2}


@dataclasses.dataclass(frozen=True)
class SyncSettings:
    """Settings of one sync.

    Attributes:
        transport: carries the copies to the destination.
        backup_path: the backup tree.
        state_dir: where the lock and the state of the last good sync are stored.
        tiers: the tree's tiers, plain folder names.
        pattern: regular expression for the names of backups.
        marker: a file that must be in the tree, so that an empty mount point is not mistaken for
            it; empty for none.
        limits: what the guards allow.
        tries: how many attempts a sync makes.
        retry_seconds: pause before the second attempt; it trebles with every further one.
        durable: whether the server writes each file through to its disk before it gets its name.
        name: of this destination, where there are several; it is part of its state's file name.
        reread_days: a verification reads every file of both sides again at least this often.
        unfinished_seconds: how long a sync waits for backups that are still being written.
        schedule: hours between two backups by tier; a verification reports missing ones.
        sealed: whether the copies are sealed.
    """

    transport: Transport
    backup_path: str
    state_dir: str
    tiers: tuple[str, ...] = inventory.TIERS
    pattern: str = backup_names.PATTERN
    marker: str = MARKER
    limits: Limits = dataclasses.field(default_factory=Limits)
    tries: int = 3
    retry_seconds: float = 10
    durable: bool = True
    name: str = ""
    reread_days: float = 30
    unfinished_seconds: float = 0
    schedule: Mapping[str, float] = dataclasses.field(default_factory=lambda: freshness.SCHEDULE)
    sealed: bool = False

    @property
    def source(self) -> Source:
        """The backups as the server gets them."""
        return PlainSource(
            self.backup_path,
            self.tiers,
            self.pattern,
            self.state_dir,
            self.reread_days,
            plain_names=self.sealed,
            # Where the copy is sealed, they are sealed with their backup.
            with_companions=not self.sealed,
        )

    def __post_init__(self) -> None:
        for tier in self.tiers:
            if not re.fullmatch(r"[A-Za-z0-9_][^/\x00-\x1f\x7f]*", tier):
                raise ResilienceError(
                    "a tier is not a plain folder name",
                    option="tiers",
                    value=tier,
                    remedy="give names such as daily",
                )
        if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_-]*)?", self.name):
            raise ResilienceError(
                "a destination's name cannot be used",
                option="destinations",
                value=self.name,
                remedy="use letters, digits, - and _",
            )
        if self.tries < 1:
            raise ResilienceError(
                "there must be at least one try", option="tries", value=self.tries
            )


@dataclasses.dataclass(frozen=True)
class SyncResult:
    """Result of one sync. File names are escaped for people.

    Attributes:
        status: `ok`, `warning` (done, but something is doubtful), `locked` (another one runs),
            `refused` (a guard refused; nothing was sent) or `failed`.
        message: one sentence.
        destination: `user@host:port/path`.
        dry_run: whether nothing was done; `sent` and `aside` are then plans.
        time: when it began, ISO 8601.
        kind: identifier of the failure, such as `host_key_changed`; empty on success.
        remedy: what to do about it; may be empty.
        sent, aside, vanished, in_progress: backups that were sent, moved aside on the server,
            rotated away meanwhile, and left out because they are still being written.
        repaired: backups of which a rotten copy on the server was replaced.
        files_sent, files_aside: how many.
        bytes_of_files: size of the files that were sent.
        bytes_sent: bytes on the wire for them, rsync's own protocol included.
        refusals: guards that refused, `guard` and `reason`.
        overridden: guards that would have refused but were overridden.
        warnings: what is doubtful.
        weaker: guarantees that this transport cannot give.
        server_alarms: the alarms of the server's own job.
        name: of the destination, where there are several.
        last_good: when the last sync before this one was completed, ISO 8601; empty for never.
        last_link: the last signed link of a sealed copy, `CHAIN/NUMBER/SHA-256`; else empty.
        attempts: attempts that were made.
        seconds: how long it took.
    """

    status: str
    message: str
    destination: str
    dry_run: bool
    time: str
    kind: str = ""
    remedy: str = ""
    sent: Sequence[str] = ()
    aside: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    in_progress: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    bytes_of_files: int = 0
    bytes_sent: int = 0
    refusals: tuple[Refusal, ...] = ()
    overridden: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    weaker: tuple[str, ...] = ()
    server_alarms: tuple[str, ...] = ()
    name: str = ""
    last_good: str = ""
    last_link: str = ""
    attempts: int = 0
    seconds: float = 0.0

    @property
    def files_sent(self) -> int:
        """How many files were sent."""
        return len(self.sent)

    @property
    def files_aside(self) -> int:
        """How many files were moved aside on the server."""
        return len(self.aside)

    @property
    def exit_code(self) -> int:
        """By the monitoring-plugins convention."""
        return EXIT_CODES[self.status]

    def values(self) -> dict[str, Any]:
        """Values for `json_stream`: of very many files that were sent, no list is made."""
        counts = {"files_sent": self.files_sent, "files_aside": self.files_aside}
        guards = {
            name: tuple(dataclasses.asdict(one) for one in getattr(self, name))
            for name in ("refusals", "overridden")
        }
        return {**vars(self), **guards, **counts}

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.values(), "sent": tuple(self.sent)}
