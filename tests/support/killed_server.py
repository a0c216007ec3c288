"""Rounds of a backup server that is killed with SIGKILL at any moment of its work."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    packed_files,
    placement,
    server_job,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.incoming import (
    ArrivalSession,
)

from support.server_copies import (
    BACKUPS,
    content,
    held_content,
    listed,
    make_store,
    packed,
    place,
    put,
)

FORK = multiprocessing.get_context("fork")
# The seconds after which an old version may go: all of them are old enough in the next round.
KEEP_DAYS = 1e-6


@dataclasses.dataclass
class Killed:
    """What was seen in all rounds.

    Attributes:
        rounds: how many there were, by the work that was done.
        killed: how many of them were killed at work.
        lost, half, stuck, unreported: what must not be, one sentence each.
    """

    rounds: Counter[str] = dataclasses.field(default_factory=Counter)
    killed: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    half: list[str] = dataclasses.field(default_factory=list)
    stuck: list[str] = dataclasses.field(default_factory=list)
    unreported: list[str] = dataclasses.field(default_factory=list)


class KilledServer:
    """A copy whose jobs are killed, and the client's files that it must hold.

    Args:
        root: the folder of the copy; it is made.
        seed: of the random moments.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.rng = root, random.Random(seed)
        root.mkdir(exist_ok=True)
        self.files = {path: content(path) for path in BACKUPS}
        place(self.store(), self.files)
        self.ever = set(self.files.values())
        self.seen = Killed()
        # The shortest whole run of each work so far, seconds.
        self.whole = {"placing": 0.05, "packed": 0.05, "job": 0.05}

    def store(self) -> server_store.Store:
        """The copy, with limits that let every change of these rounds pass."""
        return make_store(
            self.root,
            change_percent=10**6,
            most_rewritten=10**6,
            keep_days=KEEP_DAYS,
            reread_days=1,
        )

    def round(self, number: int) -> None:
        """Change something, do the work in a process that is killed, then look at everything."""
        day = 20260101 + number % 28 + 100 * (number // 28)
        new = f"daily/chefwell_backup_{day}_030000.dump.gz"
        gone = self.rng.choice(sorted(self.files))
        del self.files[gone]
        changed = self.rng.choice(sorted(self.files))
        self.files[new], self.files[changed] = content(f"{new} {number}"), content(f"c {number}")
        self.ever |= {self.files[new], self.files[changed]}
        sent = {path: self.files[path] for path in (new, changed)}
        put(self.store(), sent)
        values = listed(self.files)
        if number % 4 == 1:
            work, name = (lambda: self._commit_packed(sent, values)), "packed"
            spoilt = None
        elif number % 2:
            work, name = (lambda: placement.apply_inventory(self.store(), values)), "placing"
            spoilt = None
        else:
            spoilt = self._spoil(number, apart_from={new, changed})
            work, name = (lambda: server_job.run(self.store())), "job"
        self._killed(work, name)
        result = server_job.run(self.store())
        if result.failures:
            self.seen.stuck.append(f"{number}: {result.failures}")
        self._expect_report(number, spoilt, result)
        put(self.store(), sent)
        if spoilt:
            put(self.store(), {spoilt: self.files[spoilt]})
        try:
            done = placement.apply_inventory(self.store(), values)
        except server_store.Busy as error:
            self.seen.stuck.append(f"{number}: {error}")
            return
        if done.missing or done.refused:
            self.seen.stuck.append(f"{number}: {done.missing} {done.refused}")
        self._look(number, values)

    def _commit_packed(self, sent: dict[str, bytes], values: dict[str, Any]) -> None:
        """Receive files in one stream, as the gate does, and apply the inventory."""
        store = self.store()
        readable, writable = os.pipe()
        os.write(writable, packed(sent))
        with ArrivalSession(store) as session:
            packed_files.receive(store, session, readable)
            placement.apply_inventory(store, values, session=session)

    def _spoil(self, number: int, apart_from: set[str]) -> str | None:
        """Spoil or remove a backup that is in place, in most rounds; return its path."""
        held = held_content(self.store())
        paths = [path for path in held if self.files.get(path) == held[path]]
        paths = [path for path in paths if path not in apart_from]
        if not paths or number % 3 == 0:
            return None
        path = self.rng.choice(sorted(paths))
        file = self.root / path
        if number % 3 == 1:
            file.unlink()
        else:
            status = file.stat()
            file.write_bytes(held[path][:-1] + bytes([held[path][-1] ^ 1]))
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        return path

    def _killed(self, work: Callable[[], object], name: str) -> None:
        self.seen.rounds[name] += 1

        def child() -> None:
            work()
            os._exit(0)

        process = FORK.Process(target=child)
        began = time.monotonic()
        process.start()
        # The first of each is not killed: the others are, within the time that one takes.
        if self.seen.rounds[name] > 1:
            time.sleep(self.rng.uniform(0, self.whole[name]))
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        if process.exitcode == 0:
            self.whole[name] = min(1.0, time.monotonic() - began)
        self.seen.killed += process.exitcode == -signal.SIGKILL

    def _expect_report(self, number: int, spoilt: str | None, result: server_job.JobResult) -> None:
        if not spoilt:
            return
        alarms = {**result.alarms, **result.over}
        reasons = " ".join(str(alarms[kind].reason) for kind in alarms)
        missing = not (self.root / spoilt).exists()
        if spoilt not in reasons and ("lost" if missing else "bit-rot") not in alarms:
            self.seen.unreported.append(f"{number}: {spoilt} {sorted(alarms)}")

    def _look(self, number: int, values: dict[str, Any]) -> None:
        store = self.store()
        held = held_content(store)
        for path, body in self.files.items():
            if held.get(path) != body:
                self.seen.lost.append(f"{number}: {path}")
        for path in held.keys() - self.files.keys():
            self.seen.stuck.append(f"{number}: {path} is still in place")
        spoilt = {body[:-1] + bytes([body[-1] ^ 1]) for body in self.ever}
        for folder, paths in store.previous_versions().items():
            for path in paths:
                body = (self.root / folder / path).read_bytes()
                if body not in self.ever and body not in spoilt:
                    self.seen.half.append(f"{number}: {folder}/{path}")
        ledger = {path: entry.sha256 for path, entry in store.ledger().items()}
        if ledger != {path: digest for path, (digest, _size) in values["files"].items()}:
            self.seen.half.append(f"{number}: the ledger is not what is in place")
        sessions = [name for name in os.listdir(store.placing) if not name.startswith(".new-")]
        if store.intents() is not None or sessions:
            self.seen.stuck.append(f"{number}: intents or sessions {sessions}")
