# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies the backups to a server elsewhere, and proves that the copy is equal.

The server's folder mirrors ours, tier by tier. What it holds and we no longer do is not deleted
but moved to `old_<date>_<time>` beside the tiers, by name, and only after everything new is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import inventory, inventory_names, offsite_guards, offsite_remote, rsync, ssh
from .errors import ResilienceError
from .inventory import Inventory, readable
from .offsite_guards import Limits, Refusal, Seen
from .ssh import Destination

OK, WARNING, LOCKED, REFUSED, FAILED = "ok", "warning", "locked", "refused", "failed"
EXIT_CODES = {OK: 0, WARNING: 1, LOCKED: 1, REFUSED: 2, FAILED: 2}
MARKER = ".chefwell-backups"
# rsync writes files through to disk (`--fsync`) from this version on.
_DURABLE_FROM = (3, 2, 4)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a sync needs to know.

    Attributes:
        destination: where the copies go.
        backup_path: the backup tree.
        state_dir: where the lock and the memory of the last good sync are kept.
        tiers: the tree's tiers, plain folder names.
        pattern: regular expression for the names of backups.
        marker: a file that must be in the tree, so that an empty mount point is not taken for it;
            empty for none.
        limits: what the guards allow.
        tries: how often to try.
        retry_seconds: pause before the second try; it trebles with every further one.
        durable: whether the server writes each file through to its disk before it gets its name.
    """

    destination: Destination
    backup_path: str
    state_dir: str
    tiers: tuple[str, ...] = inventory.TIERS
    pattern: str = inventory.PATTERN
    marker: str = MARKER
    limits: Limits = dataclasses.field(default_factory=Limits)
    tries: int = 3
    retry_seconds: float = 10
    durable: bool = True

    def __post_init__(self) -> None:
        for tier in self.tiers:
            if not re.fullmatch(r"[A-Za-z0-9_][^/\x00-\x1f\x7f]*", tier):
                raise ResilienceError(
                    "a tier is no plain folder name",
                    option="tiers",
                    value=tier,
                    remedy="give names such as daily",
                )
        if self.tries < 1:
            raise ResilienceError(
                "there must be one try at least", option="tries", value=self.tries
            )


@dataclasses.dataclass(frozen=True)
class SyncResult:
    """How a sync ended. File names are escaped for people.

    Attributes:
        status: `ok`, `warning` (done, but something is doubtful), `locked` (another one runs),
            `refused` (a guard said no; nothing was sent) or `failed`.
        message: one sentence.
        destination: `user@host:port/path`.
        dry_run: whether nothing was to be done in earnest; `sent` and `aside` are then plans.
        time: when it began, ISO 8601.
        kind: for programs, why it failed, such as `host_key_changed`; empty otherwise.
        remedy: what to do about it; may be empty.
        sent, aside, vanished, in_progress: backups that were sent, moved aside on the server,
            rotated away meanwhile, and left out because they are still being written.
        files_sent, files_aside: how many.
        bytes_of_files: size of the files that were sent.
        bytes_sent: bytes given to the connection for them, rsync's own protocol included.
        refusals: guards that said no, `guard` and `saw`.
        overridden: guards that would have said no but were overridden.
        warnings: what is doubtful.
        attempts: tries that were made.
        seconds: how long it took.
    """

    status: str
    message: str
    destination: str
    dry_run: bool
    time: str
    kind: str = ""
    remedy: str = ""
    sent: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    in_progress: tuple[str, ...] = ()
    bytes_of_files: int = 0
    bytes_sent: int = 0
    refusals: tuple[Refusal, ...] = ()
    overridden: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and Ansible."""
        counts = {"files_sent": self.files_sent, "files_aside": self.files_aside}
        return {**dataclasses.asdict(self), **counts}


def sync(
    settings: Settings,
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
    with _locked(settings.state_dir) as lock:
        if lock is None:
            return run.result(LOCKED, "another sync is running, so this one leaves")
        run.keep_open = (lock,)
        result = run.result(*run.guarded())
        problem = _remember(settings, run.state, result, run.tree, run.left_out)
    if problem:
        doubtful = (*result.warnings, problem)
        status = WARNING if result.status == OK else result.status
        result = dataclasses.replace(result, warnings=doubtful, status=status)
    return result


class _Run:
    """One sync, and what it has seen and done so far."""

    def __init__(
        self,
        settings: Settings,
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
        self.state, state_problem = load_state(settings.state_dir)
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

    def result(self, status: str, message: str, kind: str = "", remedy: str = "") -> SyncResult:
        return SyncResult(
            status=status,
            message=message,
            destination=str(self.settings.destination),
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
            attempts=self.attempts,
            seconds=round(time.monotonic() - self.clock, 3),
        )

    def guarded(self) -> tuple[str, str, str, str]:
        """Asks the source's guards, then tries until it is done or cannot be."""
        limits = self.settings.limits
        try:
            self.tree = self._scan()
        except ResilienceError as error:
            if error.option != "path":
                raise
            self.refusals.append(Refusal(offsite_guards.SOURCE, str(error)))
            return self._refused()
        self.warnings += offsite_guards.warnings(self.tree, limits, self.began)
        self.warnings += self.tree.problems
        if self._refuses(self._ask_source(self.tree)):
            return self._refused()
        try:
            ssh.check_key(self.settings.destination)
        except ResilienceError as error:
            return FAILED, error.problem, "key", error.remedy or ""
        while True:
            self.attempts += 1
            ending, again = self._try(self.tree)
            if not again or self.attempts >= self.settings.tries:
                return ending
            self.warnings.append(f"try {self.attempts} failed: {ending[1]}")
            # Jitter: hosts that lost the same server must not all come back at one moment.
            pause = self.settings.retry_seconds * 3 ** (self.attempts - 1)
            time.sleep(pause * random.uniform(0.5, 1.5))

    def _scan(self) -> Inventory:
        settings = self.settings
        return inventory.scan(
            settings.backup_path, tiers=settings.tiers, pattern=settings.pattern, digest=False
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

    def _refused(self) -> tuple[str, str, str, str]:
        guards = sorted({refusal.guard for refusal in self.refusals})
        words = "; ".join(str(refusal) for refusal in self.refusals)
        once = " ".join(f"--override {guard}" for guard in guards)
        remedy = f"look at the backups; if all is as you want it, run once with {once}"
        return REFUSED, f"refused before anything was sent: {words}", "guard", remedy

    def _done(self) -> tuple[str, str, str, str]:
        doubtful = [*self.warnings, *map(str, self.overridden)]
        would = "would be " if self.dry_run else ""
        size = sum(self.sent.values())
        message = f"{len(self.sent)} files ({size} bytes) {would}sent"
        message += f", {len(self.aside)} {would}moved aside" if self.aside else ""
        return WARNING if doubtful else OK, message, "", ""

    def _try(self, tree: Inventory) -> tuple[tuple[str, str, str, str], bool]:
        """One try; how it ended, and whether another one may help."""
        settings = self.settings
        try:
            remote = offsite_remote.look(
                settings.destination, settings.tiers, settings.pattern, digest=False
            )
        except ssh.ServerError as error:
            why = error.failure
            return (FAILED, error.problem, why.kind, why.remedy), why.again
        except ResilienceError as error:
            return (FAILED, error.problem, "answer", error.remedy or ""), False
        if remote.exists and remote.rsync is None:
            words = "rsync is not installed on the server"
            return (FAILED, words, "program_missing", "install it there"), False
        if not remote.can_be_made:
            path = settings.destination.path
            words = f"the folder {path} is not there on the server, nor the one above it"
            return (FAILED, words, "no_folder", f"make it there: mkdir -p {path}"), False
        lacking = _lacking(tree, remote.tree)
        aside = self._to_set_aside(tree, remote.tree)
        last_good = self.state.last_good
        refusals = offsite_guards.check_destination(
            exists=remote.exists,
            theirs=remote.tree.files,
            aside=aside,
            bytes_to_send=sum(lacking.values()),
            room=remote.room,
            synced_before=bool(
                last_good and last_good.files and last_good.destination == str(settings.destination)
            ),
            limits=settings.limits,
        )
        if self._refuses(refusals):
            return self._refused(), False
        if self.dry_run and not remote.exists:
            self.sent, self.aside = lacking, aside
            return self._done(), False
        failed = self._send(tree, remote, sum(lacking.values()))
        if failed:
            return failed
        if aside:
            moved = self._transfer(aside, remote, remove_missing=True)
            self.aside += [item.path for item in moved.removed]
            if not moved.ok:
                return (FAILED, moved.words, moved.kind, moved.remedy), moved.again
        return self._done(), False

    def _send(
        self, tree: Inventory, remote: offsite_remote.Remote, total: int
    ) -> tuple[tuple[str, str, str, str], bool] | None:
        """Sends every backup that the server lacks. None when that is done."""
        done = self._transfer([file.path for file in tree.files], remote, total=total)
        self.sent |= {item.path: item.bytes for item in done.sent}
        gone, changed = _since(tree)
        if not done.ok and not (done.code == 24 and gone):
            return (FAILED, done.words, done.kind, done.remedy), done.again
        self.left_out = {*gone, *changed}
        self.warnings += [
            f"{readable(path)} changed while it was sent; the next run sends it again"
            for path in changed
        ]
        if not gone:
            return None
        # Rotation takes away a few; a folder that was unmounted meanwhile takes away all.
        self.vanished = gone
        self.warnings += [f"{readable(path)}: rotated away before it was sent" for path in gone]
        try:
            refusals = self._ask_source(self._scan())
        except ResilienceError as error:
            refusals = [Refusal(offsite_guards.SOURCE, str(error))]
        if not self._refuses(refusals):
            return None
        words = "; ".join(str(refusal) for refusal in self.refusals)
        message = f"backups vanished while they were sent: {words}"
        return (FAILED, message, "vanished", "look at the backup tree"), False

    def _transfer(
        self,
        names: Sequence[str],
        remote: offsite_remote.Remote,
        *,
        remove_missing: bool = False,
        total: int = 0,
    ) -> rsync.Transfer:
        settings, progress = self.settings, self.progress
        version = tuple(int(part) for part in (remote.rsync or "0").split("."))
        done = rsync.transfer(
            settings.destination,
            settings.backup_path,
            names,
            old_folder=self.old_folder,
            dry_run=self.dry_run,
            remove_missing=remove_missing,
            durable=settings.durable and version >= _DURABLE_FROM,
            progress=(lambda count: progress(count, total)) if progress and total else None,
            keep_open=self.keep_open,
        )
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


def _lacking(tree: Inventory, remote: Inventory) -> dict[str, int]:
    """Backups that rsync will send, by its own quick check: size, and time to the second."""
    theirs = {file.path: (file.bytes, file.mtime_ns // 10**9) for file in remote.files}
    return {
        file.path: file.bytes
        for file in tree.files
        if theirs.get(file.path) != (file.bytes, file.mtime_ns // 10**9)
    }


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


def verify(
    settings: Settings, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Compares both sides by content: SHA-256 here, and SHA-256 taken by the server of what it
    holds.

    Args:
        settings: from where, to where.
        progress: called with local bytes digested and local bytes in all.

    Returns:
        `host`, `local` and `remote` (inventories), `comparison`, `last_good_sync` (ISO 8601 or
        None) and `time`.

    Raises:
        ResilienceError: one side could not be looked at; never to be taken for equal.
    """
    destination = settings.destination
    ssh.check_key(destination)
    state, _problem = load_state(settings.state_dir)
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(
            offsite_remote.look, destination, settings.tiers, settings.pattern, digest=True
        )
        local = inventory.scan(
            settings.backup_path,
            tiers=settings.tiers,
            pattern=settings.pattern,
            progress=progress,
        )
        remote = asked.result()
    if not remote.exists:
        remote.tree.problems.append(f"{destination.path}: no such folder on the server")
    return {
        "host": destination.host,
        "local": inventory_names.printable(local).to_dict(),
        "remote": inventory_names.printable(remote.tree).to_dict(),
        "comparison": inventory.compare(local, remote.tree).to_dict(),
        "last_good_sync": state.last_good.time if state.last_good else None,
        "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def verify_exit_code(verification: Mapping[str, Any]) -> int:
    """0 in sync, 2 not in sync, 3 could not tell."""
    comparison = verification["comparison"]
    if comparison["in_sync"]:
        return 0
    differs = comparison["missing"] or comparison["extra"] or comparison["different"]
    return 2 if differs else 3


def server_name(destination: Destination) -> str:
    """The server's own name, as the plan's first test asks for it.

    Raises:
        ResilienceError: our key cannot be used, or the server could not be reached.
    """
    name = ssh.run(destination, "hostname").decode("utf-8", "replace").strip()
    return readable(name)


@dataclasses.dataclass(frozen=True)
class LastGood:
    """The last sync that was done whole: when, to where, and what the tree held."""

    time: str
    destination: str
    files: dict[str, Seen]


@dataclasses.dataclass(frozen=True)
class State:
    """What is remembered between runs."""

    last_good: LastGood | None = None
    last_run: Mapping[str, Any] | None = None


def _state_file(state_dir: str) -> str:
    return os.path.join(state_dir, "offsite.json")


def load_state(state_dir: str) -> tuple[State, str | None]:
    """What was remembered, and in words what was wrong with it.

    A damaged file is as good as none: what the server holds still guards against a mass change.
    """
    path = _state_file(state_dir)
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
        good = values["last_good"]
        last_good = good and LastGood(
            str(good["time"]),
            str(good["destination"]),
            {str(name): (int(size), int(mtime)) for name, (size, mtime) in good["files"].items()},
        )
        return State(last_good, values["last_run"]), None
    except FileNotFoundError:
        return State(), None
    except OSError as error:
        return State(), f"the state {path} cannot be read: {error.strerror}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return State(), f"the state {path} is damaged, so the last good sync is not known"


def _remember(
    settings: Settings,
    state: State,
    result: SyncResult,
    tree: Inventory | None,
    left_out: set[str],
) -> str | None:
    """Writes the state; returns in words why it could not be written."""
    last_good = state.last_good
    if result.status in (OK, WARNING) and tree is not None:
        files = {
            file.path: (file.bytes, file.mtime_ns)
            for file in tree.files
            if file.path not in left_out
        }
        last_good = LastGood(result.time, result.destination, files)
    values = {
        "version": 1,
        "last_good": last_good and dataclasses.asdict(last_good),
        "last_run": {key: getattr(result, key) for key in ("time", "status", "message")},
    }
    path = _state_file(settings.state_dir)
    try:
        with open(f"{path}.new", "w", encoding="ascii") as file:
            json.dump(values, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
    except OSError as error:
        return f"the state {path} cannot be written: {error.strerror}"
    return None


@contextlib.contextmanager
def _locked(state_dir: str) -> Iterator[int | None]:
    """A lock's descriptor; None where another process holds the lock.

    rsync inherits the descriptor, so that the lock also holds while an rsync is still running whose
    parent was killed.
    """
    path = os.path.join(state_dir, "offsite.lock")
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ResilienceError(
            f"the lock cannot be made: {error.strerror}",
            option="state_dir",
            value=path,
            remedy="name a folder that may be written to, and make room there",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        yield None
        return
    try:
        yield lock
    finally:
        os.close(lock)
