# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh: to an account that runs any command, or to one behind the server's gate."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _, from_form
from ..inventory.inventory import readable
from . import remote_listing, rsync, ssh, ssh_request
from .remote_listing import Remote
from .rsync import Item, Transfer
from .ssh import Destination
from .transport import Delivery, Finished, TransferRequest

# rsync writes files through to disk (`--fsync`) from this version on.
_DURABLE_FROM = (3, 2, 4)
_SETTLE = ("chefwell-commit",)
_SETTLE_AHEAD_SECONDS = 1.0


def _drop(begun: dict[Any, ssh_request.Question] | dict[Any, rsync.Sending]) -> None:
    """Ends all that was begun ahead."""
    while begun:
        begun.popitem()[1].drop()


@dataclasses.dataclass(frozen=True)
class _How:
    """What a run of rsync is begun with; its names and who hears of its progress come later."""

    source: str
    old_folder: str
    dry_run: bool
    remove_missing: bool
    durable: bool
    counted: bool
    keep_open: tuple[int, ...]

    @classmethod
    def of(cls, delivery: Delivery, *, durable: bool, remove_missing: bool = False) -> _How:
        """For a delivery to a server that can do so."""
        return cls(
            source=delivery.source,
            old_folder=delivery.old_folder,
            dry_run=delivery.dry_run,
            remove_missing=remove_missing,
            durable=durable,
            counted=delivery.progress is not None,
            keep_open=delivery.keep_open,
        )

    def begin(self, destination: Destination) -> rsync.Sending:
        """Starts it."""
        return rsync.Sending(destination, **dataclasses.asdict(self))


class AccountTransport:
    """To an account that nobody may configure: a storage box."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._server_rsync = "0"
        # What was asked ahead, by its words.
        self._asked: dict[tuple[str, ...], ssh_request.Question] = {}
        # What was begun ahead, after how it was begun.
        self._begun: dict[_How, rsync.Sending] = {}

    @property
    def host(self) -> str:
        """The server's name or address."""
        return self.destination.host

    def __str__(self) -> str:
        return str(self.destination)

    def check(self) -> None:
        """As `Transport.check`: the key."""
        ssh.check_key(self.destination)

    def look_ahead(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """As `Transport.look_ahead`. For both a single login: each costs a key exchange."""
        if digests:
            self._ask_ahead(self._list_words(tiers, digests=True), input=None)
        else:
            self._ask_ahead(self._list_words(tiers))

    def send_ahead(self, delivery: Delivery) -> None:
        """As `Transport.send_ahead`; it takes the server's rsync for a recent one."""
        how = _How.of(delivery, durable=delivery.durable)
        with contextlib.suppress(ResilienceError, OSError):
            self._begun[how] = how.begin(self.destination)

    def forget(self) -> None:
        """As `Transport.forget`."""
        _drop(self._asked)
        _drop(self._begun)

    def _ask_ahead(self, words: Sequence[str], input: bytes | None = b"") -> None:
        if tuple(words) not in self._asked:
            # Without ssh, whoever wants the answer is told so.
            with contextlib.suppress(ResilienceError):
                asked = ssh_request.Question(self.destination, words, input=input)
                self._asked[tuple(words)] = asked

    def _ask(self, words: Sequence[str], input: bytes = b"") -> bytes:
        """The answer to what was asked ahead, or is asked now."""
        asked = self._asked.pop(tuple(words), None)
        if asked and input and not asked.waits:
            asked.drop()
            asked = None
        # A server that ended without a word has not understood that more would be asked.
        answer = asked.answer(input) if asked else b""
        return answer or ssh_request.ask(self.destination, words, input=input)

    def _list(self, tiers: Sequence[str]) -> bytes:
        """The answer to a question after a list, which may wait for one after digests."""
        words = tuple(self._list_words(tiers, digests=True))
        if words not in self._asked:
            return self._ask(self._list_words(tiers))
        # It stays where `forget` finds it until its answer is here.
        answer = self._asked[words].part(remote_listing.LIST_END)
        asked = self._asked.pop(words)
        if asked.waits:
            self._asked[tuple(self._digest_words())] = asked
        return answer

    def look(self, tiers: Sequence[str], pattern: str, known: str = "") -> Remote:
        """As `Transport.look`."""
        answer = self._list(tiers)
        remote = remote_listing.parse(answer, str(self.destination), tiers, pattern, known)
        self._server_rsync = remote.rsync or "0"
        return remote

    def _list_words(self, tiers: Sequence[str], *, digests: bool = False) -> list[str]:
        return remote_listing.list_words(self.destination, tiers, digests=digests)

    def _digest_words(self) -> list[str]:
        return remote_listing.digest_words(self.destination)

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """As `Transport.digests`."""
        if not paths:
            return {}
        answer = self._ask(self._digest_words(), remote_listing.digest_input(paths))
        return remote_listing.parse_sums(answer, str(self.destination))

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """As `Transport.send`."""
        return self._rsync(names, delivery)

    def finish(self, wanted: TransferRequest, delivery: Delivery) -> Finished:
        """As `Transport.finish`."""
        if not wanted.aside:
            return Finished(Transfer(0))
        return Finished(self._rsync(wanted.aside, delivery, remove_missing=True))

    def weaker(self, remote: Remote) -> tuple[str, ...]:
        """As `Transport.weaker`."""
        return (
            _(
                "whoever has the key can delete and overwrite the copy: the server "
                "does not restrict "
                "it (mode account)"
            ),
            _(
                "nothing on the server limits how much one sync may move aside, or "
                "drops what is old"
            ),
        )

    def server_name(self) -> str:
        """As `Transport.server_name`."""
        return readable(
            ssh_request.ask(self.destination, ["hostname"]).decode("utf-8", "replace").strip()
        )

    def _rsync(
        self, names: Sequence[str], delivery: Delivery, *, remove_missing: bool = False
    ) -> Transfer:
        version = tuple(int(part) for part in self._server_rsync.split("."))
        durable = delivery.durable and version >= _DURABLE_FROM
        how = _How.of(delivery, durable=durable, remove_missing=remove_missing)
        sending = self._begun.pop(how, None)
        _drop(self._begun)
        return (sending or how.begin(self.destination)).send(names, delivery.progress)


class GateTransport(AccountTransport):
    """To an account behind `gate`: it takes files in, and its own job places them."""

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """As `Transport.send`. The server's job is called while we send, and waits for our
        inventory: meanwhile it takes the digests of what has arrived."""
        _drop(self._asked)
        if delivery.dry_run:
            return super().send(names, delivery)
        # Not at once: two logins at one moment would slow each other down.
        later = threading.Timer(_SETTLE_AHEAD_SECONDS, self._ask_ahead, (_SETTLE, None))
        later.start()
        try:
            return super().send(names, delivery)
        finally:
            later.cancel()
            later.join()

    def look(self, tiers: Sequence[str], pattern: str, known: str = "") -> Remote:
        """As `Transport.look`."""
        remote = super().look(tiers, pattern, known)
        if remote.gate is None:
            raise ResilienceError(
                "the server's answer is not the gate's",
                option="server",
                value=str(self),
                remedy="set up the server's part, or offsite_backup_server_mode: account",
            )
        return remote

    def _list_words(self, tiers: Sequence[str], *, digests: bool = False) -> list[str]:
        # A gate that does not know the last word ends after the list.
        return ["chefwell-list", *tiers, *(("--digest",) if digests else ())]

    def _digest_words(self) -> list[str]:
        return ["chefwell-digest"]

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """As `Transport.digests`."""
        if not paths:
            return {}
        names = b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in paths)
        answer = self._ask(self._digest_words(), names)
        return remote_listing.parse_digests(answer, str(self))

    def finish(self, wanted: TransferRequest, delivery: Delivery) -> Finished:
        """As `Transport.finish`: sends our inventory, by which the server's job settles."""
        if delivery.dry_run:
            return Finished(Transfer(0, removed=tuple(Item(path, 0) for path in wanted.aside)))
        digests = wanted.digests()
        listed = {path: [digest, wanted.sizes[path]] for path, digest in digests.items()}
        unsure = {path for path in wanted.sizes if path not in digests} | wanted.in_progress
        inventory = {
            "files": listed,
            "unread": sorted(wanted.unread),
            "in_progress": sorted(unsure),
        }
        given = json.dumps(inventory).encode("ascii")
        answer = self._ask(_SETTLE, given)
        try:
            settled = json.loads(answer)
            aside = [*settled["aside"], *settled["replaced"]]
            lacking = tuple(settled["missing"] + settled["unfit"])
            refused = from_form(settled.get("refused_message"), str(settled["refused"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ResilienceError(
                "the server's answer cannot be read", option="server", value=str(self)
            ) from error
        moved = Transfer(0, removed=tuple(Item(str(path), 0) for path in aside))
        return Finished(moved, refused, lacking)

    def weaker(self, remote: Remote) -> tuple[str, ...]:
        """As `Transport.weaker`."""
        if remote.confined:
            return ()
        return (
            _(
                "the server's kernel lacks the Landlock of Linux 6.2: only rsync's own checks "
                "keep all that it receives in the incoming folder"
            ),
        )
