# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one sync: scan, guards, transfer, inventory, and another attempt where it may help.

The server's folder mirrors the backup tree, tier by tier. What only the server holds is not deleted
but moved to `old_<date>_<time>` beside the tiers, by name, and only after everything new is there.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..common.errors import ResilienceError
from ..common.messages import _, join, ngettext
from ..inventory.digest_cache import TakenDigest, taken_table
from ..inventory.inventory import Inventory, readable
from ..inventory.inventory_names import ReadablePaths
from ..inventory.path_list import PathList
from ..inventory.path_table import SIZES, STATES, PathTable, only_in, total_bytes
from . import offsite_guards, packed_sending, ssh, sync_plan, sync_refusals, written_again
from .offsite_guards import Refusal
from .offsite_settings import FAILED, LOCKED, OK, REFUSED, WARNING, SyncResult, SyncSettings
from .offsite_state import WrittenAgainState, load_rotten, load_state, save_rotten
from .remote_listing import RemoteListing
from .rsync import Transfer
from .transport import Delivery, FinishResult, TransferRequest
from .written_again import WrittenAgain

# Seconds between two scans while a backup is still being written.
WAIT_STEP = 5.0
Outcome = tuple[str, str, str, str]


class SyncRun:
    """State of one sync."""

    def __init__(
        self,
        settings: SyncSettings,
        dry_run: bool,
        overrides: tuple[str, ...],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.settings = settings
        self.source = settings.source
        self.dry_run = dry_run
        self.overrides = overrides
        self.progress = progress
        self.keep_open: tuple[int, ...] = ()
        self.began = datetime.datetime.now().astimezone()
        self.clock = time.monotonic()
        self.state, state_problem = load_state(settings)
        self.old_folder = sync_plan.next_old_folder(self.state.old_folder)
        self.warnings = [state_problem] if state_problem else []
        self.tree: Inventory | None = None
        self.sent: PathTable[int] = PathTable(SIZES)
        self.aside: list[str] = []
        self.vanished: list[str] = []
        self.left_out: set[str] = set()
        self.refusals: list[Refusal] = []
        self.overridden: list[Refusal] = []
        self.bytes_sent = 0
        self.attempts = 0
        self.weaker: tuple[str, ...] = ()
        self.gated = False
        self.server_alarms: tuple[str, ...] = ()
        self.fingerprint = ""
        self.rotten: set[str] = set()
        self.forced: set[str] = set()
        self.repaired: set[str] = set()
        self.again = WrittenAgain()
        self.withheld: frozenset[str] = frozenset()
        self.rewritten_refusals: list[Refusal] = []
        self.not_placed: set[str] = set()
        self.taken: PathTable[TakenDigest] = taken_table()
        self.unsent: set[str] = set()

    def result(self, status: str, message: str, kind: str = "", remedy: str = "") -> SyncResult:
        return SyncResult(
            status=status,
            message=message,
            destination=str(self.settings.transport),
            dry_run=self.dry_run,
            time=self.began.isoformat(timespec="seconds"),
            kind=kind,
            remedy=remedy,
            sent=ReadablePaths(self.sent),
            aside=tuple(readable(path) for path in self.aside),
            vanished=tuple(readable(path) for path in self.vanished),
            in_progress=tuple(self.tree.in_progress) if self.tree else (),
            repaired=tuple(readable(path) for path in sorted(self.repaired)),
            bytes_of_files=total_bytes(self.sent),
            bytes_sent=self.bytes_sent,
            refusals=tuple(self.refusals),
            overridden=tuple(self.overridden),
            warnings=tuple(self.warnings),
            weaker=self.weaker,
            server_alarms=self.server_alarms,
            name=self.settings.name,
            last_good=self.state.last_good.time if self.state.last_good else "",
            last_link=self.settings.transport.last_link,
            attempts=self.attempts,
            seconds=round(time.monotonic() - self.clock, 3),
        )

    def run(self) -> Outcome:
        """Check the guards, then send until it is done or cannot be."""
        # The server lists its backups while the tree is scanned.
        self.settings.transport.prefetch(self.settings.tiers)
        try:
            return self._run_attempts()
        finally:
            self.settings.transport.cancel()

    def _run_attempts(self) -> Outcome:
        limits = self.settings.limits
        try:
            self.tree = self._finished_tree()
        except ResilienceError as error:
            if error.option != "path":
                raise
            self.refusals.append(Refusal(offsite_guards.SOURCE, error.message()))
            return self._refusal_outcome()
        self.warnings += offsite_guards.warnings(self.tree, limits, self.began)
        self.warnings += self.tree.problems
        if self._is_refused(self._source_refusals(self.tree)):
            self._foresee_refusals(self.tree)
            return self._refusal_outcome()
        self.state = self.state.like(self.tree.rows.table)
        try:
            self.settings.transport.check()
        except ResilienceError as error:
            return FAILED, error.problem, "key", error.remedy or ""
        if not self.dry_run:
            self.settings.transport.discard_leftovers()
        if not self.dry_run and (count := self._count_new(self.tree)):
            self.settings.transport.prepare_send(self._delivery(1), count)
        self._note_written_again(self.tree)
        while True:
            self.attempts += 1
            if self.attempts > 1:
                self.old_folder = sync_plan.next_old_folder(self.old_folder)
            outcome, retryable = self._attempt(self.tree)
            if not retryable or self.attempts >= self.settings.tries:
                return outcome
            self.warnings.append(
                _("try %(number)d failed: %(why)s", number=self.attempts, why=outcome[1])
            )
            self.settings.transport.cancel()  # an earlier login would be too old after the pause
            # Jitter: hosts that lost the same server must not all come back at one moment.
            pause = self.settings.retry_seconds * 3 ** (self.attempts - 1)
            time.sleep(pause * random.uniform(0.5, 1.5))

    def _finished_tree(self) -> Inventory:
        """Return the tree once nothing in it is being written, or the wait is over."""
        end = time.monotonic() + (0 if self.dry_run else self.settings.unfinished_seconds)
        tree = self._scan()
        while tree.in_progress and time.monotonic() < end:
            self.settings.transport.cancel()  # that listing would be too old
            time.sleep(min(WAIT_STEP, max(0.0, end - time.monotonic())))
            tree = self._scan()
        return tree

    def _scan(self) -> Inventory:
        return self.source.scan(self.state.last_good.files if self.state.last_good else None)

    def _source_refusals(self, tree: Inventory) -> list[Refusal]:
        marker = self.settings.marker
        if marker and os.path.isfile(os.path.join(self.settings.backup_path, marker)):
            marker = ""
        before = self.state.last_good.files if self.state.last_good else {}
        return offsite_guards.check_source(
            tree, self.settings.limits, marker or None, before, self.state.days
        )

    def _is_refused(self, refusals: Sequence[Refusal]) -> bool:
        """Record refusals, and return whether one of them was not overridden."""
        for refusal in refusals:
            if refusal.guard not in self.overrides:
                self.refusals.append(refusal)
            elif refusal not in self.overridden:
                self.overridden.append(refusal)
        return bool(self.refusals)

    def _foresee_refusals(self, tree: Inventory) -> None:
        """Add what later guards would refuse, so that one look and one override are enough."""
        try:
            refusals, self.gated = sync_refusals.foreseen(
                self.settings, self.state, tree, self.source
            )
        except ResilienceError as error:
            self.warnings.append(
                _("what the server would refuse is not known: %(why)s", why=error.problem)
            )
        else:
            self._is_refused(refusals)

    def _refusal_outcome(self) -> Outcome:
        guards = sorted({refusal.guard for refusal in self.refusals})
        problem = join((refusal.message() for refusal in self.refusals), "; ")
        once = " ".join(f"--override {guard}" for guard in guards)
        remedy = _(
            "look at the backups; if all is as it should be, run once with %(options)s",
            options=once,
        )
        if self.gated and offsite_guards.MASS_CHANGE in guards:
            accept = _(
                "the guard of the server may refuse the same; then accept it there, where the "
                "client's key cannot: keep-offsite-copy.sh CLIENT --accept"
            )
            remedy = join([remedy, accept], "; ")
        message = _("refused before anything was sent: %(why)s", why=problem)
        return REFUSED, message, "guard", remedy

    def _note_written_again(self, tree: Inventory) -> None:
        """Warn of backups that were written again; withhold them where they are too many."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport):
            return
        self.again = again = written_again.find(tree, good, self.state.quiet, self.source)
        if again.quiet:
            self.warnings.append(again.quiet_warning())
        if again.paths:
            self.warnings.append(again.warning())
            refusals = again.refusals(self.state, self.settings.limits)
            if offsite_guards.REWRITTEN in self.overrides:
                self.overridden += refusals
                if again.quiet and not self.dry_run:
                    self.source.accept(list(again.quiet))
            elif refusals:
                self.rewritten_refusals = refusals
                self.withheld = again.changed
                self.left_out |= self.withheld

    def again_state(self) -> WrittenAgainState:
        """Return what the next run has to know of backups that were written again."""
        passes = offsite_guards.REWRITTEN in self.overrides
        return WrittenAgainState(self.withheld, {} if passes else self.again.quiet)

    def _success_outcome(self) -> Outcome:
        if self.rewritten_refusals:
            self.refusals += [one for one in self.rewritten_refusals if one not in self.refusals]
            _status, _message, _kind, remedy = self._refusal_outcome()
            problem = _(
                "what is new was copied, but backups that were written again did not replace the "
                "copy: %(why)s",
                why=join((refusal.reason for refusal in self.rewritten_refusals), "; "),
            )
            return REFUSED, problem, offsite_guards.REWRITTEN, remedy
        doubtful = [*self.warnings, *map(str, self.overridden)]
        sent = {"count": len(self.sent), "bytes": total_bytes(self.sent)}
        if self.dry_run:
            message = _("%(count)d files (%(bytes)d bytes) would be sent", **sent)
            aside = _("%(count)d would be moved aside", count=len(self.aside))
        else:
            message = _("%(count)d files (%(bytes)d bytes) sent", **sent)
            aside = _("%(count)d moved aside", count=len(self.aside))
        message = join([message, aside if self.aside else ""])
        return WARNING if doubtful else OK, message, "", ""

    def _attempt(self, tree: Inventory) -> tuple[Outcome, bool]:
        """Return the outcome of one attempt, and whether another one may help."""
        try:
            return self._sync_once(tree)
        except ssh.ServerError as error:
            failure = error.failure
            if failure.kind == "busy":
                return (LOCKED, error.problem, failure.kind, failure.remedy), False
            return (FAILED, error.problem, failure.kind, failure.remedy), failure.retryable
        except ResilienceError as error:
            return (FAILED, error.problem, "answer", error.remedy or ""), False

    def _sync_once(self, tree: Inventory) -> tuple[Outcome, bool]:
        settings = self.settings
        remote = settings.transport.list_backups(
            settings.tiers, settings.pattern, self._known_fingerprint(tree), tree.rows.table
        )
        self.weaker = settings.transport.weaker(remote)
        self.gated = remote.gate is not None
        self.server_alarms = remote.alarms
        if remote.unchanged:
            self.fingerprint = remote.fingerprint
            return self._nothing_to_do(tree)
        if remote.exists and remote.rsync is None:
            problem = _("rsync is not installed on the server")
            return (FAILED, problem, "program_missing", _("install it there")), False
        if not remote.can_be_made:
            problem = _(
                "the folder of %(where)s is not there, nor the one above it",
                where=str(settings.transport),
            )
            return (FAILED, problem, "no_folder", _("make it there: mkdir -p")), False
        self.warnings += [one for one in remote.notices if one not in self.warnings]
        to_send = sync_plan.to_send(tree, remote.tree, times=remote.keeps_times)
        self.rotten = self._rotten(tree, remote) - to_send.keys() - self.again.quiet.keys()
        forced = self.rotten | self.not_placed
        if offsite_guards.REWRITTEN in self.overrides:
            forced |= self.again.quiet.keys()
        states = tree.states
        to_send.update((path, states[path][0]) for path in sorted(forced) if path in states)
        self.forced = forced
        for path in self.withheld:
            to_send.pop(path, None)
        to_send.share(states)
        self._warn_of_losses(tree, remote)
        aside = sync_refusals.obsolete(tree, remote.tree, self.source)
        refusals = sync_refusals.of_destination(
            settings, self.state.last_good, remote, to_send, aside
        )
        if self._is_refused(refusals):
            return self._refusal_outcome(), False
        if self.dry_run and not remote.exists:
            self.sent, self.aside = to_send, aside
            return self._success_outcome(), False
        if not (to_send or aside):
            if len(tree.files) == len(remote.tree.files):
                self.fingerprint = remote.fingerprint
            return self._nothing_to_do(tree)
        del remote  # of very many backups it takes much memory
        # Digests of what is new are taken while it is on its way.
        with ThreadPoolExecutor(max_workers=1) as pool:
            early = settings.transport.takes_digests and sync_plan.are_large(to_send)
            digests = pool.submit(self._digests, tree) if early else None
            failed = self._send(tree, to_send) if to_send else self._recheck_source(tree)
        return failed or self._finish(tree, aside, digests)

    def _nothing_to_do(self, tree: Inventory) -> tuple[Outcome, bool]:
        """Return success without a transfer, unless the tree was unmounted meanwhile."""
        # An unmounted tree has lost all files, so a sample is enough.
        some = tree.files[:: max(1, len(tree.files) // 20)]
        if all(self.source.state(file.path) for file in some):
            return self._success_outcome(), False
        return self._recheck_source(tree) or (self._success_outcome(), False)

    def _known_fingerprint(self, tree: Inventory) -> str:
        """Return the server's last fingerprint if the tree is as the last good sync saw it."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport):
            return ""
        if load_rotten(self.settings) or self.again.quiet:
            return ""
        return good.fingerprint if tree.states == good.files else ""

    def _rotten(self, tree: Inventory, remote: RemoteListing) -> set[str]:
        """Return backups whose copy is rotten, while the backup here is as it was."""
        held, states = remote.tree.states, tree.states
        found = {path for path in remote.rotten if path in held}
        for path, digest in load_rotten(self.settings).items():
            if path in held:
                with contextlib.suppress(OSError):
                    if self.source.digest(path) == digest:
                        found.add(path)
        return {path for path in found if path in states}

    def _warn_of_losses(self, tree: Inventory, remote: RemoteListing) -> None:
        """Warn of backups that the last good sync left on the server and that are gone there."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport) or not remote.exists:
            return
        local = tree.states
        lost = [path for path in only_in(good.files, remote.tree.states) if path in local]
        if lost:
            warning = ngettext(
                "%(count)d backup of the last good sync is gone on the server: %(files)s",
                "%(count)d backups of the last good sync are gone on the server: %(files)s",
                len(lost),
                files=_names(lost),
            )
            if warning not in self.warnings:
                self.warnings.append(warning)

    def _note_finished(self, finished: FinishResult) -> None:
        """Warn of what the server rejected or repaired."""
        if finished.rejected:
            # They count as not sent, so that the next run does not miss them on the server.
            self.left_out |= set(finished.rejected)
            self.warnings.append(
                _(
                    "not among the tiers and names that the server knows: %(files)s",
                    files=_names(finished.rejected),
                )
            )
        done = set(finished.repaired)
        if not self.gated:  # what was sent has replaced the copy
            done |= self.rotten & self.sent.keys()
        if done:
            self.repaired |= done
            self.warnings.append(
                _(
                    "rotten on the server and replaced, the rotten copies are kept there in an "
                    "old folder: %(files)s",
                    files=_names(sorted(done)),
                )
            )
            known = load_rotten(self.settings)
            with contextlib.suppress(OSError):  # the next run sends them once more
                save_rotten(
                    self.settings, {path: one for path, one in known.items() if path not in done}
                )

    def _count_new(self, tree: Inventory) -> int:
        """Return how many backups of the tree the last good sync did not see."""
        good = self.state.last_good
        if good is None or good.destination != str(self.settings.transport):
            return len(tree.files)
        return sum(1 for _path in only_in(tree.states, good.files))

    def _digests(self, tree: Inventory) -> PathTable[str]:
        found, _reading = self.source.with_digests(tree, share=False, taken=self.taken)
        self.taken = taken_table()  # they are in the cache now
        digests = found.rows.digests
        if not found.has_all_digests:
            for path in [path for path, digest in digests.items() if not digest]:
                del digests[path]
        return digests

    def _finish(
        self, tree: Inventory, aside: list[str], digests: Future[PathTable[str]] | None
    ) -> tuple[Outcome, bool]:
        whole = tree.rows.sizes

        def known() -> Mapping[str, str]:
            taken = digests.result() if digests else self._digests(tree)
            for path in list(only_in(taken, whole)):
                del taken[path]
            return taken

        # The server leaves alone what it has under these names.
        changing = {path for path in self.left_out if path not in self.vanished}
        without = set(self.left_out)
        if offsite_guards.REWRITTEN not in self.overrides:
            changing |= self.again.quiet.keys()
            without |= self.again.quiet.keys()
        for path in without:
            whole.pop(path, None)
        request = TransferRequest(
            aside=aside,
            digests=known,
            sizes=whole,
            unread=frozenset(problem.partition(":")[0] for problem in tree.problems),
            in_progress=frozenset({*tree.in_progress, *changing}),
        )
        finished = self.settings.transport.finish(request, self._delivery())
        moved = finished.moved
        self.aside += [item.path for item in moved.removed]
        self.bytes_sent += moved.bytes_sent
        if not moved.ok:
            return (FAILED, moved.problem, moved.kind, moved.remedy), moved.retryable
        self._note_finished(finished)
        if finished.refused:
            problem = _(
                "the server took what is new, but moved nothing aside: %(why)s",
                why=finished.refused,
            )
            remedy = _(
                "if all is as it should be, accept it on the server, where the client's key "
                "cannot: keep-offsite-copy.sh CLIENT --accept"
            )
            self.refusals.append(Refusal("server-mass-change", finished.refused))
            return (REFUSED, problem, "server_guard", remedy), False
        self.not_placed = set(finished.not_placed)
        if finished.not_placed:
            problem = _(
                "%(count)d backups did not arrive as they are here: %(names)s",
                count=len(finished.not_placed),
                names=_names(finished.not_placed),
            )
            return (FAILED, problem, "not_placed", _("look whether they still change")), True
        return self._success_outcome(), False

    def _recheck_source(self, tree: Inventory) -> tuple[Outcome, bool] | None:
        """Return a failure if backups vanished since the scan for another reason than rotation."""
        gone, changed = self._changes_since(tree)
        self.left_out = {*gone, *changed, *self.withheld, *self.unsent}
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
            refusals = self._source_refusals(self._scan())
        except ResilienceError as error:
            refusals = [Refusal(offsite_guards.SOURCE, error.message())]
        if not self._is_refused(refusals):
            return None
        message = _(
            "backups vanished while they were sent: %(why)s",
            why=join((refusal.message() for refusal in self.refusals), "; "),
        )
        return (FAILED, message, "vanished", _("look at the backup tree")), False

    def _send(self, tree: Inventory, to_send: PathTable[int]) -> tuple[Outcome, bool] | None:
        """Send every backup that the server lacks; return the failure, or None."""
        done = self._send_names(PathList(to_send), total_bytes(to_send))
        sent = packed_sending.sizes(done.sent, to_send)
        if self.sent:
            self.sent.update(sent)
        else:
            self.sent = sent
        if not done.ok and not (done.code == 24 and self._changes_since(tree)[0]):
            return (FAILED, done.problem, done.kind, done.remedy), done.retryable
        return self._recheck_source(tree)

    def _delivery(self, total: int = 0) -> Delivery:
        progress = self.progress
        return Delivery(
            source=self.source.folder,
            old_folder=self.old_folder,
            dry_run=self.dry_run,
            durable=self.settings.durable,
            progress=(lambda count: progress(count, total)) if progress and total else None,
            keep_open=self.keep_open,
            ignore_times=bool(self.forced),
        )

    def _send_names(self, names: Sequence[str], total: int) -> Transfer:
        with self.source.provided(names):
            done = self.settings.transport.send(names, self._delivery(total))
        self.bytes_sent += done.bytes_sent
        if isinstance(done.taken, PathTable) and not self.taken:
            self.taken = done.taken
        else:
            self.taken.update(done.taken)
        self.unsent = set(done.left_out)
        self.warnings += [one for one in done.left_out.values() if one not in self.warnings]
        return done

    def _changes_since(self, tree: Inventory) -> tuple[list[str], list[str]]:
        """Return backups that are gone, and those that changed, since the scan.

        One that was read to be sent counts as it was when it was opened: its digest is of just
        those bytes, wherever the file is now.
        """
        gone: list[str] = []
        changed: list[str] = []
        read = self.taken.view(STATES, 0, 1)
        if read == tree.states:
            return gone, changed
        for path, state in tree.states.items():
            now = read.get(path) or self.source.state(path)
            if now is None:
                gone.append(path)
            elif now != state:
                changed.append(path)
        return gone, changed


def _names(paths: Sequence[str]) -> str:
    """Return the first paths, readable."""
    return ", ".join(readable(path) for path in paths[:5])
