# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interface of the transports: the ways to carry the copies, one file each.

A transport lists the server's backups, returns their digests, sends files by name, moves aside what
is obsolete, and fetches files back. It decides nothing: guards, comparison and choice stand
elsewhere. What a file is called there and which bytes it has is the matter of `sync_source`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..inventory.path_table import PathTable
from .remote_listing import RemoteListing
from .rsync import Transfer


@dataclasses.dataclass(frozen=True)
class Delivery:
    """Options of a transfer.

    Attributes:
        source: the folder that names are relative to.
        old_folder: the folder on the server, beside the tiers, that takes what is replaced.
        dry_run: only report what would be done.
        durable: have each file written through to disk before it gets its name, where possible.
        progress: called with the bytes of files done so far.
        keep_open: descriptors that the sending process inherits: a lock that outlives this one.
        ignore_times: send files although size and time are equal, to replace rotten copies.
    """

    source: str
    old_folder: str
    dry_run: bool = False
    durable: bool = False
    progress: Callable[[int], None] | None = None
    keep_open: tuple[int, ...] = ()
    ignore_times: bool = False


@dataclasses.dataclass(frozen=True)
class TransferRequest:
    """What the server should hold in the end.

    Attributes:
        aside: backups that the server holds and that certainly are no longer in the tree.
        digests: returns SHA-256 by path of all complete backups of the tree.
        sizes: bytes by path of the same.
        unread: tiers that could not be read, so that nothing in them is known to be gone.
        in_progress: backups that are still being written.
    """

    aside: Sequence[str]
    digests: Callable[[], Mapping[str, str]]
    sizes: Mapping[str, int]
    unread: frozenset[str]
    in_progress: frozenset[str]


@dataclasses.dataclass(frozen=True)
class FinishResult:
    """Result of `Transport.finish`.

    Attributes:
        moved: the move as a transfer; `removed` is what was moved aside.
        refused: why the server moved nothing; empty where it did.
        not_placed: backups that the server did not accept, because what arrived differs from the
            inventory.
        rejected: backups that the server's tiers or pattern do not know.
        repaired: backups whose rotten copy the server replaced.
    """

    moved: Transfer
    refused: str = ""
    not_placed: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()


class RemoteFile(NamedTuple):
    """A file on the server that can be fetched: its bytes, and its time of change."""

    bytes: int
    mtime_ns: int


class Transport(Protocol):
    """One way to carry the copies to one destination."""

    @property
    def host(self) -> str:
        """Name of the server on pages."""

    def __str__(self) -> str:
        """Return the destination in one word, as logs and the stored state name it."""

    def check(self) -> None:
        """Check without the network that the transport can be used.

        Raises:
            ResilienceError: it cannot.
        """

    def prefetch(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """Start to list the server's backups for the next `list_backups`, where possible.

        Args:
            tiers: the tiers to list.
            digests: whether `digests` will be called, too.

        Never fails: errors are raised where the output is read.
        """

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """Log in for the next `send`, where possible. Nothing is sent by it.

        Args:
            delivery: its options.
            count: how many files it will probably send.

        Never fails, as `prefetch`.
        """

    def discard_leftovers(self) -> None:
        """Delete what a killed sync left on this host and no sync needs any more."""

    def cancel(self) -> None:
        """End what `prefetch` and `prepare_send` started and nobody used."""

    def list_backups(
        self,
        tiers: Sequence[str],
        pattern: str,
        known: str = "",
        like: PathTable[Any] | None = None,
    ) -> RemoteListing:
        """Return what the server holds.

        Args:
            tiers: the tiers to list.
            pattern: regular expression for the names of backups.
            known: `RemoteListing.fingerprint` of an earlier listing; where it is the same again,
                the result is `RemoteListing.unchanged`.
            like: a table with probably the same paths, whose memory is used where possible.

        Raises:
            ResilienceError: the server could not be listed.
        """

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return SHA-256 by path of the server's content, read there or fetched from there.

        Raises:
            ResilienceError: the server could not be reached.
        """

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return a listing with the alarms that stand after the last `digests`.

        Args:
            remote: as `list_backups` returned it.
        """

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Send files, in one attempt.

        Raises:
            ResilienceError: a program is not installed here.
        """

    def finish(self, request: TransferRequest, delivery: Delivery) -> FinishResult:
        """Put what was sent in its place where that is still to be done, and move obsolete backups.

        Raises:
            ResilienceError: the server could not be reached.
        """

    def list_files(self, tiers: Sequence[str]) -> dict[str, RemoteFile]:
        """Return every file of some tiers by path, those in folders of a tier, too.

        A right to read is enough, where `list_backups` may need more.

        Raises:
            ResilienceError: the server could not be listed.
        """

    def fetch(self, paths: Sequence[str], folder: str) -> None:
        """Fetch files into an existing folder, each under its path.

        Args:
            paths: as `list_files` returned them.
            folder: takes them; a part of a file in it is continued where possible.

        Raises:
            ResilienceError: a file could not be fetched.
        """

    def evidence(self, path: str) -> Mapping[str, Any]:
        """Return what was signed and opened of a fetched backup; empty where it is not sealed."""

    def arrived_digests(self) -> Mapping[str, str]:
        """Return the SHA-256, by path, of backups that are known to have arrived whole.

        Empty where this host keeps no ledger of what it sent.
        """

    def fetch_command(self, path: str, folder: str) -> str:
        """Return the command by which a person fetches one file without this collection."""

    @property
    def takes_digests(self) -> bool:
        """Whether `finish` requests the digest of every backup, as far as that is known before."""

    @property
    def last_link(self) -> str:
        """The last signed link that was sent, `CHAIN/NUMBER/SHA-256`; empty where none is."""

    def weaker(self, remote: RemoteListing) -> tuple[str, ...]:
        """Return the guarantees that this transport cannot give, one sentence each."""

    def server_name(self) -> str:
        """Return the server's own host name.

        Raises:
            ResilienceError: the server could not be reached.
        """
