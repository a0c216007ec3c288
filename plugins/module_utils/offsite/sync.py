# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies the backups to a server elsewhere, and proves that the copy is equal.

The server's folder mirrors ours, tier by tier. What it holds and we no longer do is not deleted
but moved to `old_<date>_<time>` beside the tiers, by name, and only after everything new is there.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..common.errors import ResilienceError
from ..common.messages import _, join
from ..inventory import inventory
from ..inventory.inventory import BackupFile, Inventory, readable
from . import offsite_guards, offsite_verification, ssh
from .offsite_guards import Refusal
from .offsite_settings import FAILED, LOCKED, OK, REFUSED, WARNING, SyncResult, SyncSettings
from .offsite_state import load_state, locked, remember
from .rsync import Transfer
from .transport import Delivery, TransferRequest

# Between two looks at a backup that is still being written, seconds.
WAIT_STEP = 5.0
Ending = tuple[str, str, str, str]


def sync(
    settings: SyncSettings,
    *,
    dry_run: bool = False,
    overrides: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SyncResult:
    """Makes the server's folder equal to the backup tree, if every guard agrees.

    Args:
        settings: from where, to where, how.
        dry_run: only tell what would be done. It takes no lock and writes nothing anywhere.
        overrides: names of guards (`offsite_guards.GUARDS`) that are not to refuse this once.
        progress: called with bytes done and bytes in all.

    Raises:
        ResilienceError: a setting is wrong, or rsync or ssh is not installed.
    """
    for name in overrides:
        if name not in offsite_guards.GUARDS:
            raise ResilienceError(
                "there is no such guard",
                option="override",
                value=name,
                remedy=f"name one of {', '.join(offsite_guards.GUARDS)}",
            )
    run = _Run(settings, dry_run, tuple(overrides), progress)
    if dry_run:
        return run.result(*run.guarded())
    with locked(settings) as lock:
        if lock is None:
            return run.result(LOCKED, _("another sync is running, so this one leaves"))
        run.keep_open = (lock,)
        result = run.result(*run.guarded())
        problem = remember(settings, run.state, result, run.tree, run.left_out, run.listing)
    if problem:
        doubtful = (*result.warnings, problem)
        status = WARNING if result.status == OK else result.status
        result = dataclasses.replace(result, warnings=doubtful, status=status)
    return result


class _Run:
    """One sync, and what it has seen and done so far."""

    def __init__(
        self,
        settings: SyncSettings,
        dry_run: bool,
        overrides: tuple[str, ...],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.settings = settings
        self.dry_run = dry_run
        self.overrides = overrides
        self.progress = progress
        self.keep_open: tuple[int, ...] = ()
        self.began = datetime.datetime.now().astimezone()
        self.clock = time.monotonic()
        # In UTC, and to the second: two runs of one day must not overwrite what the first kept.
        moment = datetime.datetime.now(datetime.UTC)
        self.old_folder = f"old_{moment:%Y%m%d_%H%M%S}"
        self.state, state_problem = load_state(settings)
        self.warnings = [state_problem] if state_problem else []
        self.tree: Inventory | None = None
        self.sent: dict[str, int] = {}
        self.aside: list[str] = []
        self.vanished: list[str] = []
        self.left_out: set[str] = set()
        self.refusals: list[Refusal] = []
        self.overridden: list[Refusal] = []
        self.bytes_sent = 0
        self.attempts = 0
        self.weaker: tuple[str, ...] = ()
        self.server_alarms: tuple[str, ...] = ()
        self.listing = ""

    def result(self, status: str, message: str, kind: str = "", remedy: str = "") -> SyncResult:
        return SyncResult(
            status=status,
            message=message,
            destination=str(self.settings.transport),
            dry_run=self.dry_run,
            time=self.began.isoformat(timespec="seconds"),
            kind=kind,
            remedy=remedy,
            sent=tuple(readable(path) for path in sorted(self.sent)),
            aside=tuple(readable(path) for path in self.aside),
            vanished=tuple(readable(path) for path in self.vanished),
            in_progress=tuple(self.tree.in_progress) if self.tree else (),
            bytes_of_files=sum(self.sent.values()),
            bytes_sent=self.bytes_sent,
            refusals=tuple(self.refusals),
            overridden=tuple(self.overridden),
            warnings=tuple(self.warnings),
            weaker=self.weaker,
            server_alarms=self.server_alarms,
            name=self.settings.name,
            last_good=self.state.last_good.time if self.state.last_good else "",
            attempts=self.attempts,
            seconds=round(time.monotonic() - self.clock, 3),
        )

    def guarded(self) -> Ending:
        """Asks the source's guards, then tries until it is done or cannot be."""
        # What the server holds is asked for while the tree is looked at.
        self.settings.transport.look_ahead(self.settings.tiers)
        try:
            return self._guarded()
        finally:
            self.settings.transport.forget()

    def _guarded(self) -> Ending:
        limits = self.settings.limits
        try:
            self.tree = self._finished_tree()
        except ResilienceError as error:
            if error.option != "path":
                raise
            self.refusals.append(Refusal(offsite_guards.SOURCE, error.message()))
            return self._refused()
        self.warnings += offsite_guards.warnings(self.tree, limits, self.began)
        self.warnings += self.tree.problems
        if self._refuses(self._ask_source(self.tree)):
            return self._refused()
        try:
            self.settings.transport.check()
        except ResilienceError as error:
            return FAILED, error.problem, "key", error.remedy or ""
        if not self.dry_run and self._has_news(self.tree):
            self.settings.transport.send_ahead(self._delivery(1))
        while True:
            self.attempts += 1
            ending, again = self._try(self.tree)
            if not again or self.attempts >= self.settings.tries:
                return ending
            self.warnings.append(
                _("try %(number)d failed: %(why)s", number=self.attempts, why=ending[1])
            )
            self.settings.transport.forget()  # a login of before is too old afterwards
            # Jitter: hosts that lost the same server must not all come back at one moment.
            pause = self.settings.retry_seconds * 3 ** (self.attempts - 1)
            time.sleep(pause * random.uniform(0.5, 1.5))

    def _finished_tree(self) -> Inventory:
        """The tree once nothing in it is being written any more, or the wait is over."""
        end = time.monotonic() + (0 if self.dry_run else self.settings.unfinished_seconds)
        tree = self._scan()
        while tree.in_progress and time.monotonic() < end:
            self.settings.transport.forget()  # that answer would be too old
            time.sleep(min(WAIT_STEP, max(0.0, end - time.monotonic())))
            tree = self._scan()
        return tree

    def _scan(self) -> Inventory:
        settings = self.settings
        return inventory.scan(
            settings.backup_path,
            tiers=settings.tiers,
            pattern=settings.pattern,
            digest=False,
            known=self.state.last_good.files if self.state.last_good else None,
        )

    def _ask_source(self, tree: Inventory) -> list[Refusal]:
        marker = self.settings.marker
        if marker and os.path.isfile(os.path.join(tree.root, marker)):
            marker = ""
        seen = self.state.last_good.files if self.state.last_good else {}
        return offsite_guards.check_source(tree, self.settings.limits, marker or None, seen)

    def _refuses(self, refusals: Sequence[Refusal]) -> bool:
        """Sorts refusals into those that count and those that were overridden."""
        for refusal in refusals:
            if refusal.guard not in self.overrides:
                self.refusals.append(refusal)
            elif refusal not in self.overridden:
                self.overridden.append(refusal)
        return bool(self.refusals)

    def _refused(self) -> Ending:
        guards = sorted({refusal.guard for refusal in self.refusals})
        words = join((refusal.message() for refusal in self.refusals), "; ")
        once = " ".join(f"--override {guard}" for guard in guards)
        remedy = _(
            "look at the backups; if all is as you want it, run once with %(options)s", options=once
        )
        message = _("refused before anything was sent: %(why)s", why=words)
        return REFUSED, message, "guard", remedy

    def _done(self) -> Ending:
        doubtful = [*self.warnings, *map(str, self.overridden)]
        sent = {"count": len(self.sent), "bytes": sum(self.sent.values())}
        if self.dry_run:
            message = _("%(count)d files (%(bytes)d bytes) would be sent", **sent)
            aside = _("%(count)d would be moved aside", count=len(self.aside))
        else:
            message = _("%(count)d files (%(bytes)d bytes) sent", **sent)
            aside = _("%(count)d moved aside", count=len(self.aside))
        message = join([message, aside if self.aside else ""])
        return WARNING if doubtful else OK, message, "", ""

    def _try(self, tree: Inventory) -> tuple[Ending, bool]:
        """One try; how it ended, and whether another one may help."""
        try:
            return self._tried(tree)
        except ssh.ServerError as error:
            failure = error.failure
            if failure.kind == "busy":
                return (LOCKED, error.problem, failure.kind, failure.remedy), False
            return (FAILED, error.problem, failure.kind, failure.remedy), failure.again
        except ResilienceError as error:
            return (FAILED, error.problem, "answer", error.remedy or ""), False

    def _tried(self, tree: Inventory) -> tuple[Ending, bool]:
        settings = self.settings
        remote = settings.transport.look(
            settings.tiers, settings.pattern, self._known_listing(tree)
        )
        self.weaker = settings.transport.weaker(remote)
        self.server_alarms = remote.alarms
        if remote.same:
            self.listing = remote.listing
            return self._nothing_to_do(tree)
        if remote.exists and remote.rsync is None:
            words = _("rsync is not installed on the server")
            return (FAILED, words, "program_missing", _("install it there")), False
        if not remote.can_be_made:
            words = _(
                "the folder of %(where)s is not there, nor the one above it",
                where=str(settings.transport),
            )
            return (FAILED, words, "no_folder", _("make it there: mkdir -p")), False
        lacking = _lacking(tree, remote.tree, times=remote.keeps_times)
        aside = self._to_set_aside(tree, remote.tree)
        last_good = self.state.last_good
        refusals = offsite_guards.check_destination(
            exists=remote.exists,
            theirs=remote.tree.files,
            aside=aside,
            bytes_to_send=sum(lacking.values()),
            room=remote.room,
            synced_before=bool(
                last_good and last_good.files and last_good.destination == str(settings.transport)
            ),
            limits=settings.limits,
        )
        if self._refuses(refusals):
            return self._refused(), False
        if self.dry_run and not remote.exists:
            self.sent, self.aside = lacking, aside
            return self._done(), False
        if not (lacking or aside):
            if len(tree.files) == len(remote.tree.files):
                self.listing = remote.listing
            return self._nothing_to_do(tree)
        # Digests of what is new are taken while it is on its way.

        with ThreadPoolExecutor(max_workers=1) as pool:
            digests = pool.submit(self._digests, tree) if remote.gate and lacking else None
            failed = self._send(tree, lacking) if lacking else self._look_again(tree)
        return failed or self._finish(tree, aside, digests)

    def _nothing_to_do(self, tree: Inventory) -> tuple[Ending, bool]:
        """Nothing to send or move; said only if the tree was not unmounted meanwhile."""
        # An unmounted tree has lost them all, so some of them tell.
        some = tree.files[:: max(1, len(tree.files) // 20)]
        if all(os.path.lexists(os.path.join(tree.root, file.path)) for file in some):
            return self._done(), False
        return self._look_again(tree) or (self._done(), False)

    def _known_listing(self, tree: Inventory) -> str:
        """The list of the other side that goes with the tree as it is, where that is on record."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport):
            return ""
        now = {file.path: (file.bytes, file.mtime_ns) for file in tree.files}
        return good.listing if now == good.files else ""

    def _has_news(self, tree: Inventory) -> bool:
        """Whether there is something that the last good sync did not see."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport):
            return bool(tree.files)
        return any(file.path not in good.files for file in tree.files)

    def _digests(self, tree: Inventory) -> dict[str, str]:
        found, _reading = offsite_verification.digested(self.settings, tree, share=False)
        return {file.path: file.sha256 for file in found.files if file.sha256}

    def _finish(
        self, tree: Inventory, aside: list[str], digests: Future[dict[str, str]] | None
    ) -> tuple[Ending, bool]:
        whole = [file for file in tree.files if file.path not in self.left_out]
        paths = {file.path for file in whole}

        def known() -> dict[str, str]:
            taken = digests.result() if digests else self._digests(tree)
            return {path: digest for path, digest in taken.items() if path in paths}

        changing = {path for path in self.left_out if path not in self.vanished}
        wanted = TransferRequest(
            aside=aside,
            digests=known,
            sizes={file.path: file.bytes for file in whole},
            unread=frozenset(problem.partition(":")[0] for problem in tree.problems),
            in_progress=frozenset({*tree.in_progress, *changing}),
        )
        finished = self.settings.transport.finish(wanted, self._delivery())
        moved = finished.moved
        self.aside += [item.path for item in moved.removed]
        self.bytes_sent += moved.bytes_sent
        if not moved.ok:
            return (FAILED, moved.words, moved.kind, moved.remedy), moved.again
        if finished.refused:
            words = _(
                "the server took what is new, but moved nothing aside: %(why)s",
                why=finished.refused,
            )
            remedy = _(
                "if all is as you want it, say so on the server, where our key cannot: "
                "keep-offsite-copy.sh CLIENT --accept"
            )
            self.refusals.append(Refusal("server-mass-change", finished.refused))
            return (REFUSED, words, "server_guard", remedy), False
        if finished.not_placed:
            names = ", ".join(readable(path) for path in finished.not_placed[:5])
            words = _(
                "%(count)d backups did not arrive as they are here: %(names)s",
                count=len(finished.not_placed),
                names=names,
            )
            return (FAILED, words, "not_placed", _("look whether they still change")), True
        return self._done(), False

    def _look_again(self, tree: Inventory) -> tuple[Ending, bool] | None:
        """What was rotated away, or unmounted, since the tree was looked at."""
        gone, changed = _since(tree)
        self.left_out = {*gone, *changed}
        self.warnings += [
            _(
                "%(file)s changed while it was sent; the next run sends it again",
                file=readable(path),
            )
            for path in changed
        ]
        if not gone:
            return None
        # Rotation takes away a few; a folder that was unmounted meanwhile takes away all.
        self.vanished = gone
        self.warnings += [
            _("%(file)s: rotated away before it was sent", file=readable(path)) for path in gone
        ]
        try:
            refusals = self._ask_source(self._scan())
        except ResilienceError as error:
            refusals = [Refusal(offsite_guards.SOURCE, error.message())]
        if not self._refuses(refusals):
            return None
        message = _(
            "backups vanished while they were sent: %(why)s",
            why=join((refusal.message() for refusal in self.refusals), "; "),
        )
        return (FAILED, message, "vanished", _("look at the backup tree")), False

    def _send(self, tree: Inventory, lacking: dict[str, int]) -> tuple[Ending, bool] | None:
        """Sends every backup that the server lacks. None when that is done."""
        done = self._transfer(list(lacking), sum(lacking.values()))
        self.sent |= {item.path: item.bytes for item in done.sent}
        if not done.ok and not (done.code == 24 and _since(tree)[0]):
            return (FAILED, done.words, done.kind, done.remedy), done.again
        return self._look_again(tree)

    def _delivery(self, total: int = 0) -> Delivery:
        progress = self.progress
        return Delivery(
            source=self.settings.backup_path,
            old_folder=self.old_folder,
            dry_run=self.dry_run,
            durable=self.settings.durable,
            progress=(lambda count: progress(count, total)) if progress and total else None,
            keep_open=self.keep_open,
        )

    def _transfer(self, names: Sequence[str], total: int) -> Transfer:
        done = self.settings.transport.send(names, self._delivery(total))
        self.bytes_sent += done.bytes_sent
        return done

    def _to_set_aside(self, tree: Inventory, remote: Inventory) -> list[str]:
        """Backups that the server holds and we certainly no longer do."""
        ours = {file.path for file in tree.files}
        # A folder that could not be read says nothing about what is gone.
        unread = {problem.partition(":")[0] for problem in tree.problems}
        return [
            file.path
            for file in remote.files
            if file.path not in ours
            and readable(file.path) not in tree.in_progress
            and readable(file.tier) not in unread
            and not os.path.lexists(os.path.join(tree.root, file.path))
        ]


def _lacking(tree: Inventory, remote: Inventory, *, times: bool = True) -> dict[str, int]:
    """Backups that rsync will send, by its own quick check: size, and time to the second."""

    def seen(file: BackupFile) -> tuple[int, int]:
        return file.bytes, file.mtime_ns // 10**9 if times else 0

    theirs = {file.path: seen(file) for file in remote.files}
    return {file.path: file.bytes for file in tree.files if theirs.get(file.path) != seen(file)}


def _since(tree: Inventory) -> tuple[list[str], list[str]]:
    """Backups that are gone, and those that changed, since the tree was looked at."""
    gone, changed = [], []
    for file in tree.files:
        try:
            now = os.lstat(os.path.join(tree.root, file.path))
        except OSError:
            gone.append(file.path)
            continue
        if (now.st_size, now.st_mtime_ns) != (file.bytes, file.mtime_ns):
            changed.append(file.path)
    return gone, changed
