# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh to an account behind the server's gate.

The gate takes files into its incoming folder; the server itself puts them in place, by the
inventory that `finish` sends.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common import json_stream, json_text
from ..common.errors import ResilienceError
from ..common.messages import _
from ..inventory.path_table import PathTable, only_in
from . import gate_requests, packed_sending, remote_listing
from .early_listing import Started
from .foreign_messages import foreign_message, foreign_text
from .remote_listing import RemoteListing, StandingAlarms
from .rsync import Item, Transfer
from .ssh import Destination
from .ssh_command import SshCommand
from .transport import Delivery, FinishResult, TransferRequest
from .transport_account import AccountTransport, cancel_all

_COMMIT = ("chefwell-commit",)
_PACKED_COMMIT = ("chefwell-commit", "packed")
_COMMIT_DELAY_SECONDS = 1.0


class _Listed(Mapping[str, "list[object]"]):
    """The backups of an inventory, each with its SHA-256 and bytes, made when they are sent."""

    def __init__(self, digests: Mapping[str, str], sizes: Mapping[str, int]) -> None:
        self._digests, self._sizes = digests, sizes

    def __len__(self) -> int:
        return len(self._digests)

    def __iter__(self) -> Iterator[str]:
        return iter(self._digests)

    def __getitem__(self, path: str) -> list[object]:
        return [self._digests[path], self._sizes[path]]


class GateTransport(AccountTransport):
    """Transport to an account behind the gate."""

    def __init__(self, destination: Destination, started: Started | None = None) -> None:
        super().__init__(destination, started)
        # The alarms that came with the last digests: reading may raise or end one.
        self._standing: StandingAlarms | None = None
        self._takes_packed = False

    @property
    def takes_digests(self) -> bool:
        """The inventory holds them, as `Transport.takes_digests`."""
        return True

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """Log in for the next `send`, as `Transport.prepare_send`."""
        if count >= packed_sending.LEAST_FILES:
            self._start_command(_PACKED_COMMIT, stdin=None)
        else:
            super().prepare_send(delivery, count)

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Send files, as `Transport.send`.

        The commit command is started meanwhile and waits for the inventory, so that the server
        digests what has arrived while the rest is on its way. One that waits since an earlier send
        goes on.
        """
        waiting, prepared = (
            self._started.pop(_COMMIT, None),
            self._started.pop(_PACKED_COMMIT, None),
        )
        self._cancel_commands()
        if waiting and waiting.is_running and not delivery.dry_run:
            self._started[_COMMIT] = waiting
        elif waiting:
            waiting.cancel()
        is_free = not delivery.dry_run and _COMMIT not in self._started
        if self._takes_packed and is_free and len(names) >= packed_sending.LEAST_FILES:
            return self._send_packed(names, delivery, prepared)
        if prepared:
            prepared.cancel()
        if delivery.dry_run:
            return super().send(names, delivery)
        # Two logins at one moment would slow each other down.
        delay = 0.0 if self._started_runs else _COMMIT_DELAY_SECONDS
        later = threading.Timer(delay, self._start_command, (_COMMIT, None))
        later.start()
        try:
            return super().send(names, delivery)
        finally:
            later.cancel()
            later.join()

    def _send_packed(
        self, names: Sequence[str], delivery: Delivery, prepared: SshCommand | None
    ) -> Transfer:
        """Send small files in one stream to the commit, and the others by rsync after them."""
        if prepared and not prepared.is_running:
            prepared.cancel()
            prepared = None
        command = prepared or SshCommand(self.destination, _PACKED_COMMIT, stdin=None)
        packed, left = packed_sending.send(
            command, names, delivery, self.destination.bandwidth_kbps
        )
        if not packed.ok:
            command.cancel()
            return packed
        self._started[_COMMIT] = command
        if not left:
            cancel_all(self._started_runs)
            return packed
        if progress := delivery.progress:
            before = sum(item.bytes for item in packed.sent)
            delivery = dataclasses.replace(
                delivery, progress=lambda count: progress(before + count)
            )
        done = super().send(left, delivery)
        return dataclasses.replace(
            done,
            sent=[*packed.sent, *done.sent] if done.sent else packed.sent,
            bytes_sent=packed.bytes_sent + done.bytes_sent,
            taken=packed.taken,
        )

    def _is_durable(self, delivery: Delivery) -> bool:
        return False  # the server writes all that arrived through to its disk before it places it

    def _confirmed(self, names: Sequence[str], delivery: Delivery, done: Transfer) -> Transfer:
        return done  # the server places only what has the listed digest, and reports the rest

    def list_backups(
        self,
        tiers: Sequence[str],
        pattern: str,
        known: str = "",
        like: PathTable[Any] | None = None,
    ) -> RemoteListing:
        """List the server's backups, as `Transport.list_backups`."""
        remote = super().list_backups(tiers, pattern, known, like)
        if remote.gate is None:
            raise ResilienceError(
                _("the server's answer is not the gate's"),
                option="server",
                value=str(self),
                remedy=_("set up the server's part, or mode: account"),
            )
        self._takes_packed = remote.takes_packed
        return remote

    def _list_command(self, tiers: Sequence[str], *, digests: bool = False) -> list[str]:
        return gate_requests.listing(tiers, digests=digests)

    def _digest_command(self) -> list[str]:
        return ["chefwell-digest"]

    def digests(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Return the server's digests, as `Transport.digests`."""
        if not paths:
            return {}
        output = self._output(self._digest_command(), lambda: remote_listing.name_parts(paths))
        digests, self._standing = remote_listing.parse_read(output, str(self), paths)
        return digests

    def standing(self, remote: RemoteListing) -> RemoteListing:
        """Return a listing with the alarms after the last reading, as `Transport.standing`."""
        after, self._standing = self._standing, None
        if after is None:
            return remote
        return dataclasses.replace(
            remote, alarms=after.alarms, notices=after.notices, alarm_kinds=after.kinds
        )

    def finish(self, request: TransferRequest, delivery: Delivery) -> FinishResult:
        """Send the inventory, as `Transport.finish`; the server puts files in place by it."""
        if delivery.dry_run:
            return FinishResult(Transfer(0, removed=tuple(Item(path, 0) for path in request.aside)))
        digests = request.digests()
        unsure = {*only_in(request.sizes, digests), *request.in_progress}
        inventory = {
            "files": _Listed(digests, request.sizes),
            "unread": sorted(request.unread),
            "in_progress": sorted(unsure),
        }
        output = self._output(
            _COMMIT, lambda: (part.encode("ascii") for part in json_stream.parts(inventory))
        )
        try:
            result = json_text.loads(output.whole())
            aside = [*result["aside"], *result["replaced"]]
            not_placed = tuple(result["missing"] + result["unfit"])
            refused = foreign_message(
                result.get("refused_message"), foreign_text(result["refused"])
            )
            rejected = tuple(map(str, result.get("rejected", ())))
            repaired = tuple(map(str, result.get("repaired", ())))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ResilienceError(
                _("the server's answer cannot be read"), option="server", value=str(self)
            ) from error
        moved = Transfer(0, removed=tuple(Item(str(path), 0) for path in aside))
        return FinishResult(moved, refused, not_placed, rejected, repaired)

    def weaker(self, remote: RemoteListing) -> tuple[str, ...]:
        """Return the guarantees that are missing, as `Transport.weaker`."""
        if remote.confined:
            return ()
        return (
            _(
                "the server's kernel lacks the Landlock of Linux 6.2: only rsync's own checks "
                "keep all that it receives in the incoming folder"
            ),
        )
