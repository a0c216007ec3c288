# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups sealed and sent: while some are on their way, the next ones are sealed.

What is ready when the line is free is one transfer. The login for the next one is made while the
last bytes of this one are sent, so that the line does not wait for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from ..common.errors import BackupError, ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..inventory import sealed_names
from ..inventory.inventory import readable
from ..sealing import age
from ..sealing.ledger_items import DELIVERED, LedgerItem
from ..sealing.spool import Spool, files_of
from .rsync import Item, Transfer
from .transport import Delivery, Transport

# What is sealed is sent as soon as it has so many bytes, and at most so many at a time. The spool
# folder takes twice as much, or one backup that is larger.
FIRST_BATCH_BYTES, BATCH_BYTES = 64 << 20, 1 << 30
# Seconds before the end of a transfer at which the login for the next one is made.
_LOGIN_SECONDS = 2.0
# Seconds after the start of a small transfer at which it is made: two logins at one moment would
# slow each other down.
_LOGIN_DELAY_SECONDS = 0.2


class SealedSending:
    """One sending of backups through the spool folder.

    Args:
        inner: the transport.
        spool: of the copy.
        delivery: of the backups; its source is the tree.
    """

    def __init__(self, inner: Transport, spool: Spool, delivery: Delivery) -> None:
        self.inner = inner
        self.spool = spool
        self.root = delivery.source
        self.progress = delivery.progress
        # A name that was sealed anew has the size and time of the one before it. The end of a
        # transfer is foreseen by its progress.
        self.delivery = dataclasses.replace(
            delivery, source=spool.folder, ignore_times=True, progress=lambda _done: None
        )

    def send(self, names: Sequence[str]) -> Transfer:
        """Seal backups and send them, in this order."""
        done = Transfer(0)
        sent_bytes = 0
        with Sealer(self.spool, self.root, names) as sealer:
            if names:
                self.inner.prepare_send(self.delivery, 1)
            while items := sealer.take():
                total = _size(items)
                sent = self._send_batch(items, sent_bytes, total, sealer)
                sent_bytes += total
                done = dataclasses.replace(
                    sent,
                    sent=[*done.sent, *sent.sent],
                    bytes_sent=done.bytes_sent + sent.bytes_sent,
                )
                if not sent.ok:
                    return done
        done = dataclasses.replace(done, left_out=sealer.left_out)
        return _failed_sealing(done, sealer.error) if sealer.error else done

    def _send_batch(
        self, items: Sequence[LedgerItem], before: int, total: int, sealer: Sealer
    ) -> Transfer:
        names = {name: item for item in items for name in files_of(item)}
        watch = _Progress(before, total, self.progress)
        if not sealer.is_done:
            watch.near_end = lambda: self.inner.prepare_send(self.delivery, 1)
        with watch:
            sent = self.inner.send(list(names), dataclasses.replace(self.delivery, progress=watch))
        arrived = {item.path for item in sent.sent}
        backups = tuple(
            Item(item.path, item.local_bytes)
            for item in items
            if sealed_names.sealed(item.path) in arrived
        )
        if sent.ok:
            self.spool.ledger.mark([item.path for item in items], DELIVERED)
            self.spool.remove(items)
            backups = tuple(Item(item.path, item.local_bytes) for item in items)
        return dataclasses.replace(sent, sent=backups)


class Sealer:
    """Seals backups one after the other, in a thread of its own.

    Use it as a context; when it is left, the file that is being sealed is the last one.

    Args:
        spool: of the copy.
        root: the backup tree.
        names: of the backups in it.

    Attributes:
        error: what ended it early.
        left_out: a sentence on each backup that could not be sealed for a reason of its own.
    """

    def __init__(self, spool: Spool, root: str, names: Sequence[str]) -> None:
        self.spool = spool
        self.root = root
        self.error: ResilienceError | OSError | None = None
        self.left_out: dict[str, str] = {}
        self._names = list(names)
        self._ready: list[LedgerItem] = []
        self._changed = threading.Condition()
        self._is_ended = False
        self._unforeseen: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sealer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        with self._changed:
            self._names.clear()
            self._ready.clear()
            self._changed.notify_all()
        self._thread.join()

    @property
    def is_done(self) -> bool:
        """Whether `take` returns nothing more."""
        with self._changed:
            return self._is_ended and not self._ready

    def take(self) -> list[LedgerItem]:
        """Wait for what is worth a transfer, and return it; nothing when all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ended or self._size() >= FIRST_BATCH_BYTES)
            taken: list[LedgerItem] = []
            while self._ready and (not taken or _size([*taken, self._ready[0]]) <= BATCH_BYTES):
                taken.append(self._ready.pop(0))
            self._changed.notify_all()
        if not taken and self._unforeseen:
            raise self._unforeseen
        return taken

    def _size(self) -> int:
        return _size(self._ready)

    def _run(self) -> None:
        try:
            while name := self._next():
                # Those that are gone or change are left out, and the sync sees that.
                with (
                    contextlib.suppress(age.ChangedFile, FileNotFoundError),
                    self._others_go_on(name),
                ):
                    item = self.spool.announce(self.root, self.spool.seal(self.root, name))
                    with self._changed:
                        self._ready.append(item)
                        self._changed.notify_all()
        except (ResilienceError, OSError) as error:
            self.error = error
        except BaseException as error:  # raised in the thread that waits for what is ready
            self._unforeseen = error
        finally:
            with self._changed:
                self._is_ended = True
                self._changed.notify_all()

    @contextlib.contextmanager
    def _others_go_on(self, name: str) -> Iterator[None]:
        """Leave out a backup that cannot be sealed for a reason of its own."""
        try:
            yield
        except (BackupError, OSError) as error:
            if isinstance(error, OSError) and not _is_of_one_file(error):
                raise
            why = reason(error) if isinstance(error, OSError) else error.problem
            self.left_out[name] = _(
                "%(file)s was not sealed and not sent: %(why)s", file=readable(name), why=why
            )

    def _next(self) -> str:
        """Return the next name once the spool has room for it; an empty one after the last."""
        with self._changed:
            self._changed.wait_for(lambda: not self._names or self._size() < BATCH_BYTES)
            return self._names.pop(0) if self._names else ""


class _Progress:
    """Reports the bytes of all batches, and calls a function once when its batch is nearly sent.

    Use it as a context around the transfer.

    Args:
        before: bytes of the batches before.
        total: bytes of this one.
        report: called with the bytes of all that is done; None where nobody looks.
    """

    def __init__(self, before: int, total: int, report: Callable[[int], None] | None) -> None:
        self.before = before
        self.total = total
        self.report = report
        self.near_end: Callable[[], None] | None = None
        self._began = time.monotonic()
        self._timer = threading.Timer(_LOGIN_DELAY_SECONDS, self._call_near_end)
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> None:
        # A small batch may be over before rsync reports anything.
        if self.total < 2 * FIRST_BATCH_BYTES:
            self._timer.start()

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        if self._timer.ident is not None:
            self._timer.join()

    def __call__(self, done: int) -> None:
        if self.report:
            self.report(self.before + min(done, self.total))
        passed = time.monotonic() - self._began
        if done and passed * max(0, self.total - done) / done < _LOGIN_SECONDS:
            self._call_near_end()

    def _call_near_end(self) -> None:
        with self._one_at_a_time:
            action, self.near_end = self.near_end, None
        if action:
            action()


def _is_of_one_file(error: OSError) -> bool:
    """Return whether an error says nothing about the other backups: they have room and names."""
    return isinstance(error, age.UnreadableFile) or error.errno == errno.ENAMETOOLONG


def _size(items: Sequence[LedgerItem]) -> int:
    return sum(item.content.bytes for item in items)


def _failed_sealing(done: Transfer, error: ResilienceError | OSError) -> Transfer:
    if isinstance(error, ResilienceError):
        problem, remedy = error.problem, error.remedy or ""
    else:
        problem = _("a backup could not be sealed: %(why)s", why=reason(error))
        remedy = _("look at the free disk space of the state folder")
    return dataclasses.replace(done, code=1, problem=problem, kind="seal", remedy=remedy)
