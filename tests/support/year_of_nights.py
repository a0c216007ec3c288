"""A year of nights of a client and its backup server, with the clock moved, and what happens then.

Real are sync, verification, gate, placement and the server's daily job. ssh and rsync are not: what
is sent is copied into `incoming`, for a login a night would take a year's real time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gzip
import io
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_list import (
    PathList,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    ssh,
    sync,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.command_output import (
    CommandOutput,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    MARKER,
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.rsync import (
    Item,
    Transfer,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.ssh import Destination
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport import Delivery
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_gate import (
    GateTransport,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    client_inventory,
    gate_digests,
    gate_listing,
    gate_session,
    placement,
    server_job,
    server_store,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server.server_settings import (
    ServerSettings,
)

from support.server_copies import listed, put

DAY = 86400.0
KEPT = {"daily": 14, "weekly": 8, "monthly": 6}
DOWN = ssh.Failure("refused", "nothing listens on that port of the server", "start it", False)


class _CapturedGate(gate_session.GateSession):
    """The gate, with its output in memory."""

    written = b""

    def send(self, text: str) -> int:
        self.written += os.fsencode(text)  # a list is written in parts
        return 0


class NearGate(GateTransport):
    """The gate's transport without a network in between.

    Args:
        store: opens the copy, as each session does.
    """

    def __init__(self, store: Callable[[], server_store.Store]) -> None:
        super().__init__(Destination("near", 22, "u", "/copy", "/key", "/hosts", mode="restricted"))
        self.open_store = store
        self.down = False

    def check(self) -> None:
        """There is no key."""

    def prefetch(self, tiers: Sequence[str], *, digests: bool = False) -> None:
        """There is no login."""

    def prepare_send(self, delivery: Delivery, count: int) -> None:
        """There is no login."""

    def _list_output(self, tiers: Sequence[str]) -> CommandOutput:
        return self._output(self._list_command(tiers))

    def _output(
        self, arguments: Sequence[str], stdin: Callable[[], Iterable[bytes]] | None = None
    ) -> CommandOutput:
        given = b"".join(stdin()) if stdin else b""
        if self.down:
            raise ssh.ServerError(DOWN, "", self.destination)
        try:
            served = _CapturedGate(self.open_store(), "write", "")
        except server_store.WrongCopy as error:
            raise ssh.ServerError(
                ssh.Failure("command_failed", error.problem, "mount it", False), "", "near"
            ) from error
        if arguments[0] == "chefwell-list":
            gate_listing.COMMANDS["chefwell-list"](served, list(arguments[1:]))
        elif arguments[0] == "chefwell-digest":
            names = map(os.fsdecode, filter(None, given.split(b"\0")))
            gate_digests.write_digests(served, PathList(names))
        else:
            announced = client_inventory.read(io.StringIO(given.decode("ascii")), served.store)
            result = placement.apply_inventory(served.store, announced)
            values = {**vars(result), "placed": list(result.placed), "refused_message": None}
            return CommandOutput(json.dumps(values).encode())
        return CommandOutput(served.written)

    def send(self, names: Sequence[str], delivery: Delivery) -> Transfer:
        """Copy files into `incoming`."""
        store = self.open_store()
        sent = []
        for name in names:
            target = Path(store.incoming, name)
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(Path(delivery.source, name), target)
            sent.append(Item(name, target.stat().st_size))
        return Transfer(0, sent=tuple(sent))


@dataclasses.dataclass
class Event:
    """Something that happened: its kind, the night, and the paths or words that name it."""

    kind: str
    night: int
    signs: tuple[str, ...]
    heal: Callable[[], object] = lambda: None
    detected: int | None = None


@contextlib.contextmanager
def clock(moment: float) -> Iterator[None]:
    """Let `time.time` and `datetime.now` return a moment."""
    real_time, real_class = time.time, datetime.datetime
    began = real_time()

    class Moved(real_class):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real_class.fromtimestamp(time.time(), tz)

    time.time = lambda: moment + real_time() - began
    datetime.datetime = Moved  # type: ignore[misc]
    try:
        yield
    finally:
        time.time, datetime.datetime = real_time, real_class  # type: ignore[misc]


class Year:
    """The nights of one client.

    Args:
        root: a folder for tree, copy and state.
        seed: of what happens when.
        pause: nights between two events.
    """

    def __init__(self, root: Path, seed: int = 1, pause: int = 6) -> None:
        self.root, self.rng, self.pause = root, random.Random(seed), pause
        self.tree, self.copy = root / "tree", root / "copy"
        for tier in KEPT:
            (self.tree / tier).mkdir(parents=True)
        (self.tree / MARKER).touch()
        self.copy.mkdir()
        self.transport = NearGate(self.store)
        self.settings = SyncSettings(
            self.transport, str(self.tree), str(root / "state"), tries=1, reread_days=14
        )
        self.base = time.time() - 400 * DAY
        self.genuine: dict[str, bytes] = {}
        self.rotated: dict[str, int] = {}
        self.spoilt: set[str] = set()
        self.events: list[Event] = []
        self.lost: list[str] = []
        self.silent_nights = 0
        self.kinds = [name for name in dir(self) if name.startswith("_event_")]
        self.next_kinds: list[str] = []
        state = self.copy / server_store.STATE_FOLDER
        state.mkdir()
        (state / server_store.IDENTITY_FILE).write_text("copy\n")

    def store(self) -> server_store.Store:
        """The copy, opened anew."""
        return server_store.Store(
            ServerSettings(root=str(self.copy), identity="copy", reserve_percent=0, reread_days=14)
        )

    def run(self, nights: int) -> None:
        """Let nights pass; nothing happens in the first week and in the last ten nights."""
        for night in range(nights):
            with clock(self.base + night * DAY):
                self._backup(night)
                if 7 <= night < nights - 10 and night % self.pause == 0:
                    self._happen(night)
                self._night(night)
        with clock(self.base + nights * DAY):
            self._compare(nights)

    def _backup(self, night: int) -> None:
        moment = time.time()
        name = f"chefwell_backup_{time.strftime('%Y%m%d_%H%M%S', time.localtime(moment))}.dump.gz"
        body = gzip.compress(name.encode() * 9, mtime=0) + os.urandom(300)
        tiers = ["daily"] + ["weekly"] * (night % 7 == 0) + ["monthly"] * (night % 30 == 0)
        for tier in tiers:
            self._write(f"{tier}/{name}", body, moment)
            self.genuine[f"{tier}/{name}"] = body
        for tier, count in KEPT.items():
            for file in sorted((self.tree / tier).iterdir())[:-count]:
                file.unlink()
                self.rotated[f"{tier}/{file.name}"] = night

    def _write(self, path: str, body: bytes, moment: float) -> None:
        (self.tree / path).write_bytes(body)
        os.utime(self.tree / path, (moment, moment))

    def _happen(self, night: int) -> None:
        if not self.next_kinds:
            self.next_kinds = self.rng.sample(self.kinds, len(self.kinds))
        name = self.next_kinds.pop()
        event: Event = getattr(self, name)(night)
        self.events.append(event)

    def _night(self, night: int) -> None:
        texts = []
        if self.silent_nights:
            self.silent_nights -= 1
        else:
            result = sync.sync(self.settings)
            texts.append(repr(result.to_dict()))
            try:
                texts.append(repr(self._findings(offsite_verification.verify(self.settings))))
            except Exception as error:  # whatever it is, cron mails it
                texts.append(repr(error))
        try:
            job = server_job.run(self.store())
            texts.append(repr((job.alarms, job.over, job.rotten, job.rotten_previous)))
        except server_store.WrongCopy as error:
            texts.append(repr(error))
        text = " ".join(texts)
        for event in self.events:
            if event.detected is None and any(sign in text for sign in event.signs):
                event.detected = night
                event.heal()

    def _findings(self, verification: dict[str, Any]) -> dict[str, Any]:
        names = ("comparison", "rotted", "server_alarms", "server_notices")
        return {name: verification[name] for name in names}

    def _compare(self, nights: int) -> None:
        """Look for every backup that must be there: in its place, or kept for 90 days."""
        held = {}
        for path in self.copy.rglob("*.gz"):
            held.setdefault(path.read_bytes(), str(path))
        for path, body in self.genuine.items():
            gone = self.rotated.get(path)
            due = gone is None or nights - gone < 85
            if due and body not in held and path not in self.spoilt:
                self.lost.append(path)
            if gone is None and (self.copy / path).read_bytes() != body:
                self.lost.append(f"{path} in its place")

    # What happens. Each returns how it is recognised, and how a person makes it well again.

    def _in_place(self, tier: str = "") -> str:
        paths = [path for path in self.store().backups() if path in self.genuine]
        paths = [path for path in paths if path.startswith(tier) and (self.tree / path).exists()]
        return self.rng.choice(sorted(paths)[:-3] or sorted(paths))

    def _held(self) -> dict[str, bytes]:
        return {path: (self.copy / path).read_bytes() for path in self.store().backups()}

    def _clear(self) -> None:
        store = self.store()
        server_job.clear(store)
        client_inventory.drop_refused(store)
        store.alarms.set("mass-change", None)

    def _restore(self, path: str) -> None:
        """Put a backup of this host in its place again, from the copy."""
        status = (self.copy / path).stat()
        self._write(path, self.genuine[path], status.st_mtime)
        os.utime(self.tree / path, ns=(status.st_mtime_ns, status.st_mtime_ns))

    def _event_attacker_rewrites(self, night: int) -> Event:
        path, held = self._in_place(), self._held()
        held[path] = os.urandom(len(held[path]))
        put(self.store(), {path: held[path]})
        placement.apply_inventory(self.store(), listed(held))
        signs = ("rewritten", "mass-change", path)
        return Event("an attacker writes a backup again", night, signs, self._clear)

    def _event_attacker_lists_little(self, night: int) -> Event:
        held = self._held()
        few = {path: held[path] for path in sorted(held)[: len(held) // 3]}
        placement.apply_inventory(self.store(), listed(few))
        return Event("an attacker lists a third", night, ("mass-change",), self._clear)

    def _event_attacker_cuts_slowly(self, night: int) -> Event:
        for _step in range(6):
            held = self._held()
            for path in self.rng.sample(sorted(held), max(1, len(held) // 5)):
                del held[path]
            placement.apply_inventory(self.store(), listed(held))
        return Event(
            "an attacker lists less, six times", night, ("mass-change", "gone"), self._clear
        )

    def _event_attacker_plants(self, night: int) -> Event:
        path = "weekly/chefwell_backup_20991231_030000.dump.gz"
        held = {**self._held(), path: b"\x1f\x8b" + os.urandom(500)}
        put(self.store(), {path: held[path]})
        placement.apply_inventory(self.store(), listed(held))
        return Event("an attacker plants a backup", night, (path,), self._clear)

    def _spoil(self, file: Path) -> None:
        status, body = file.stat(), bytearray(file.read_bytes())
        body[9] ^= 1
        file.write_bytes(body)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _event_rot_there(self, night: int) -> Event:
        path = self._in_place()
        self._spoil(self.copy / path)
        return Event("rot on the server", night, (path,))

    def _event_rot_of_previous(self, night: int) -> Event:
        store = self.store()
        versions = [path for path in store.previous_ledger() if (self.copy / path).exists()]
        if not versions:
            return Event("rot of a previous version", night, ("",))
        path = self.rng.choice(sorted(versions))
        self.spoilt.add(path.partition("/")[2])
        self._spoil(self.copy / path)
        return Event("rot of a previous version", night, (path,), self._clear)

    def _event_rot_here(self, night: int) -> Event:
        path = self._in_place("weekly")
        self._spoil(self.tree / path)
        return Event("rot on this host", night, (path,), lambda: self._restore(path))

    def _event_written_again_here(self, night: int) -> Event:
        path = self._in_place("weekly")
        self._write(path, os.urandom(300), time.time())

        def heal() -> None:
            (self.tree / path).write_bytes(self.genuine[path])
            moment = datetime.datetime.strptime(path[-23:-8], "%Y%m%d_%H%M%S").timestamp()
            os.utime(self.tree / path, (moment, moment))
            sync.sync(self.settings, overrides=["rewritten"])
            self._clear()

        return Event("a backup is written again here", night, ("written again",), heal)

    def _event_lost_there(self, night: int) -> Event:
        path = self._in_place()
        (self.copy / path).unlink()
        return Event("a backup vanishes on the server", night, (path,))

    def _event_lost_here(self, night: int) -> Event:
        kept = self.root / "away"
        (self.tree / "weekly").rename(kept)
        (self.tree / "weekly").mkdir()

        def heal() -> None:
            shutil.rmtree(self.tree / "weekly")
            kept.rename(self.tree / "weekly")

        return Event("a tier is emptied on this host", night, ("mass-change",), heal)

    def _event_server_down(self, night: int) -> Event:
        self.transport.down = True
        return Event("the server is down", night, ("nothing listens",), self._up)

    def _up(self) -> None:
        self.transport.down = False

    def _event_host_silent(self, night: int) -> Event:
        self.silent_nights = 4
        return Event("this host is silent for 4 nights", night, ("silent",))

    def _event_disk_not_mounted(self, night: int) -> Event:
        away = self.root / "disk"
        self.copy.rename(away)
        self.copy.mkdir()

        def heal() -> None:
            self.copy.rmdir()
            away.rename(self.copy)

        return Event("the copy's disk is not mounted", night, ("identity is missing",), heal)

    def _event_clock_ahead(self, night: int) -> Event:
        with clock(time.time() + 100 * DAY):
            job = server_job.run(self.store())
        for path in job.dropped:  # what is old by at most two days more than it is
            moved = datetime.datetime.strptime(path[4:19] + "+0000", "%Y%m%d_%H%M%S%z")
            assert time.time() - moved.timestamp() > 87 * DAY, path
        found = Event("the server's clock is 100 days ahead", night, ("clock-jumped",))
        if "clock-jumped" in job.alarms:
            found.detected = night
        return found

    def table(self) -> str:
        """What happened, how often, and how many nights it took to be seen."""
        lines = [f"{'what happened':<40} {'times':>5} {'seen':>5} {'nights to detection':>20}"]
        for kind in sorted({event.kind for event in self.events}):
            own = [event for event in self.events if event.kind == kind]
            taken = [event.detected - event.night for event in own if event.detected is not None]
            nights = f"{statistics.median(taken):g}, at most {max(taken)}" if taken else "-"
            lines.append(f"{kind:<40} {len(own):>5} {len(taken):>5} {nights:>20}")
        undetected = sum(event.detected is None for event in self.events)
        lines.append(f"{len(self.events)} events: lost {len(self.lost)}, undetected {undetected}")
        return "\n".join(lines)

    @property
    def undetected(self) -> list[Event]:
        """The events that nothing has named."""
        return [event for event in self.events if event.detected is None]
