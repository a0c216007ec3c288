# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between the sync and what carries the copies: each way to carry them is one more file.

A transport lists what the other side holds, has it digested there, sends files by name, and in the
end sets aside what is no longer here. Judging is none of its business.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from .remote_listing import Remote
from .rsync import Transfer


@dataclasses.dataclass(frozen=True)
class Delivery:
    """How files are to be sent.

    Attributes:
        source: the folder that names are relative to.
        old_folder: the folder on the other side, beside the tiers, that takes what is replaced.
        dry_run: only tell what would be done.
        durable: have each file written through to disk before it gets its name, where that can be.
        progress: called with the bytes of files done so far.
        keep_open: descriptors that whatever carries the files inherits: a lock that outlives us.
    """

    source: str
    old_folder: str
    dry_run: bool = False
    durable: bool = False
    progress: Callable[[int], None] | None = None
    keep_open: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class TransferRequest:
    """What the other side should hold in the end.

    Attributes:
        aside: backups that it holds and we certainly no longer do.
        digests: gives SHA-256 by path of all that we hold and that is whole.
        sizes: bytes by path of the same.
        unread: tiers that could not be read here, so that nothing in them is known to be gone.
        in_progress: backups that are still being written here.
    """

    aside: Sequence[str]
    digests: Callable[[], dict[str, str]]
    sizes: dict[str, int]
    unread: frozenset[str]
    in_progress: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Finished:
    """What came of it.

    Attributes:
        moved: how that went, as a transfer; `removed` is what was moved aside.
        refused: in words why the other side's own job moved nothing; empty where it did.
        not_placed: backups that it did not take, because what came is not what was listed.
    """

    moved: Transfer
    refused: str = ""
    not_placed: tuple[str, ...] = ()


class Transport(Protocol):
    """One way to carry the copies to one destination."""

    @property
    def host(self) -> str:
        """What to call the other side on a page."""

    def __str__(self) -> str:
        """The destination in one word, as it stands in logs and in the memory of syncs."""

    def check(self) -> None:
        """Makes sure, without the network, that it can be used.

        Raises:
            ResilienceError: it cannot.
        """

    def look_ahead(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """Begins to ask what the other side holds, where that can be, for the next `look`.

        Args:
            tiers: the tiers to look at.
            digests: whether `digests` will be asked for, too.

        Never fails: what is wrong shows when the answer is taken.
        """

    def send_ahead(self, delivery: Delivery) -> None:
        """Begins to log in for the next `send`, where that can be. Nothing is sent by it.

        Never fails, as `look_ahead`.
        """

    def forget(self) -> None:
        """Ends what `look_ahead` and `send_ahead` began and nobody has taken."""

    def look(self, tiers: Sequence[str], pattern: str, known: str = "") -> Remote:
        """What the other side holds.

        Args:
            tiers: the tiers to look at.
            pattern: regular expression for the names of backups.
            known: `Remote.listing` of an earlier look; where it is still that, `Remote.same`.

        Raises:
            ResilienceError: it could not be asked.
        """

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """The SHA-256 of what the other side holds, read there or fetched from there.

        Raises:
            ResilienceError: it could not be asked.
        """

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """One try to send files.

        Raises:
            ResilienceError: a program is not installed here.
        """

    def finish(self, wanted: TransferRequest, delivery: Delivery) -> Finished:
        """Brings what was sent into its place where that is still to be done, and moves aside.

        Raises:
            ResilienceError: the other side could not be asked.
        """

    def weaker(self, remote: Remote) -> tuple[str, ...]:
        """Which guarantees this way cannot give, one sentence each."""

    def server_name(self) -> str:
        """The other side's own name.

        Raises:
            ResilienceError: it could not be asked.
        """
