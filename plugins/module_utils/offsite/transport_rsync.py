# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rsync over ssh: to an account that runs any command, or to one behind the server's gate."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Sequence

from ..common.errors import ResilienceError
from ..common.told import restored, told
from ..inventory.inventory import readable
from . import offsite_remote, rsync, ssh, ssh_question
from .offsite_remote import Remote
from .rsync import Item, Transfer
from .ssh import Destination
from .transport import Delivery, Finished, Wanted

# rsync writes files through to disk (`--fsync`) from this version on.
_DURABLE_FROM = (3, 2, 4)
_SETTLE = ("chefwell-commit",)
_SETTLE_AHEAD_SECONDS = 1.0


class AccountTransport:
    """To an account that nobody may configure: a storage box."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._server_rsync = "0"
        # What was asked ahead, by its words.
        self._asked: dict[tuple[str, ...], ssh_question.Question] = {}

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
        """As `Transport.look_ahead`."""
        self._ask_ahead(self._list_words(tiers))
        if digests:
            self._ask_ahead(self._digest_words(), input=None)

    def forget(self) -> None:
        """As `Transport.forget`."""
        while self._asked:
            self._asked.popitem()[1].drop()

    def _ask_ahead(self, words: Sequence[str], input: bytes | None = b"") -> None:
        if tuple(words) not in self._asked:
            # Without ssh, whoever wants the answer is told so.
            with contextlib.suppress(ResilienceError):
                asked = ssh_question.Question(self.destination, words, input=input)
                self._asked[tuple(words)] = asked

    def _ask(self, words: Sequence[str], input: bytes = b"") -> bytes:
        """The answer to what was asked ahead, or is asked now."""
        asked = self._asked.pop(tuple(words), None)
        if asked and input and not asked.waits:
            asked.drop()
            asked = None
        return (
            asked.answer(input) if asked else ssh_question.ask(self.destination, words, input=input)
        )

    def look(self, tiers: Sequence[str], pattern: str, known: str = "") -> Remote:
        """As `Transport.look`."""
        answer = self._ask(self._list_words(tiers))
        remote = offsite_remote.parse(answer, str(self.destination), tiers, pattern, known)
        self._server_rsync = remote.rsync or "0"
        return remote

    def _list_words(self, tiers: Sequence[str]) -> list[str]:
        return offsite_remote.list_words(self.destination, tiers)

    def _digest_words(self) -> list[str]:
        return offsite_remote.digest_words(self.destination)

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """As `Transport.digests`."""
        if not paths:
            return {}
        answer = self._ask(self._digest_words(), offsite_remote.digest_input(paths))
        return offsite_remote.parse_sums(answer, str(self.destination))

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """As `Transport.send`."""
        return self._rsync(names, delivery)

    def finish(self, wanted: Wanted, delivery: Delivery) -> Finished:
        """As `Transport.finish`."""
        if not wanted.aside:
            return Finished(Transfer(0))
        return Finished(self._rsync(wanted.aside, delivery, remove_missing=True))

    def weaker(self, remote: Remote) -> tuple[str, ...]:
        """As `Transport.weaker`."""
        return (
            told(
                "whoever has the key can delete and overwrite the copy: the server "
                "does not restrict "
                "it (mode account)"
            ),
            told(
                "nothing on the server limits how much one sync may move aside, or "
                "drops what is old"
            ),
        )

    def server_name(self) -> str:
        """As `Transport.server_name`."""
        return readable(
            ssh_question.ask(self.destination, ["hostname"]).decode("utf-8", "replace").strip()
        )

    def _rsync(
        self, names: Sequence[str], delivery: Delivery, *, remove_missing: bool = False
    ) -> Transfer:
        version = tuple(int(part) for part in self._server_rsync.split("."))
        return rsync.transfer(
            self.destination,
            delivery.source,
            names,
            old_folder=delivery.old_folder,
            dry_run=delivery.dry_run,
            remove_missing=remove_missing,
            durable=delivery.durable and version >= _DURABLE_FROM,
            progress=delivery.progress,
            keep_open=delivery.keep_open,
        )


class GateTransport(AccountTransport):
    """To an account behind `offsite_gate`: it takes files in, and its own job places them."""

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """As `Transport.send`. The server's job is called while we send, and waits for our
        inventory: meanwhile it takes the digests of what has arrived."""
        self.forget()
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

    def _list_words(self, tiers: Sequence[str]) -> list[str]:
        return ["chefwell-list", *tiers]

    def _digest_words(self) -> list[str]:
        return ["chefwell-digest"]

    def digests(self, paths: Sequence[str]) -> dict[str, str]:
        """As `Transport.digests`."""
        if not paths:
            return {}
        names = b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in paths)
        answer = self._ask(self._digest_words(), names)
        return offsite_remote.parse_digests(answer, str(self))

    def finish(self, wanted: Wanted, delivery: Delivery) -> Finished:
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
            refused = restored(settled.get("refused_said"), str(settled["refused"]))
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
            told(
                "the server's kernel lacks the Landlock of Linux 6.2: only rsync's own checks "
                "keep all that it receives in the incoming folder"
            ),
        )
