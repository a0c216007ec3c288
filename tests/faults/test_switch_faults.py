"""E8: the switch of a recovery ends at random moments, under clients that reconnect and write."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.postgres import Server
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import (
    recovery,
    recovery_switch,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import private_cluster
from ansible_collections.chefwell.resilience.plugins.module_utils.staging.private_cluster import (
    Cluster,
)
from support.fault_log import Fault
from support.production_server import HOST, PRODUCTION, databases, recovery_settings, run_sql
from support.thorough import rounds
from support.waiting import wait_for
from testbed import production

# Starts switches, each in a process of its own, without the time that an interpreter takes.
STARTER = """
import os, pickle, sys
from ansible_collections.chefwell.resilience.plugins.module_utils.common import interrupt
from ansible_collections.chefwell.resilience.plugins.module_utils.recovery import recovery_switch
with open(sys.argv[1], "rb") as file:
    settings = pickle.load(file)
for line in sys.stdin:
    name, confirm = line.split()
    pid = os.fork()
    if pid == 0:
        interrupt.listen()
        try:
            recovery_switch.switch(settings, name, confirm, lambda text: None)
        except BaseException:
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""
CLIENTS, PERIOD = 2, 0.04
# How the switch is cut off: mostly by SIGKILL.
WAYS = (*("KILL",) * 12, "HUP", "TERM", "INT", "connections", "connections", "engine")
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)


class Clients:
    """Connect to production 50 times a second, write a row each time, note the acknowledged."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.acknowledged: list[int] = []
        self.refusals: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(CLIENTS)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        row = number
        while not self._stop.wait(PERIOD):
            row += CLIENTS
            try:
                with contextlib.closing(psycopg2.connect(**self.server.dsn(PRODUCTION))) as client:
                    client.autocommit = True
                    client.cursor().execute("INSERT INTO ledger VALUES (%s)", [row])
                self.acknowledged.append(row)
            except psycopg2.Error as error:
                self.refusals.append(str(error))


class Scene:
    """Production and a restored database on a server that may end, and their switches."""

    def __init__(self, root: Path) -> None:
        root.chmod(0o755)
        self.cluster = Cluster(str(root / "cluster"), production.binaries())
        self.cluster.create()
        self.server = self.cluster.start()
        for name in (PRODUCTION, f"{PRODUCTION}_recovered_20251120_030000"):
            run_sql(self.server, "postgres", f"CREATE DATABASE {name}")
            run_sql(self.server, name, "CREATE TABLE ledger (row bigint)")
        mark = f"{recovery.MARK}{recovery.VALIDATED}, from a.dump"
        run_sql(self.server, "postgres", f"COMMENT ON DATABASE {name} IS '{mark}'")
        self.calls = root / "calls"
        commands = {}
        for what in ("stop", "start"):
            script = root / f"{what}.sh"
            script.write_text(f"#!/bin/sh\necho {what} >> {self.calls}\n")
            script.chmod(0o755)
            commands[f"{what}_command"] = (str(script),)
        self.settings = recovery_settings(self.server, root, **commands)
        self.state = Path(self.settings.drill.state_dir)
        (root / "settings").write_bytes(pickle.dumps(self.settings))
        self.starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(root / "settings")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def close(self) -> None:
        self.starter.kill()
        self.starter.communicate()
        self.cluster.remove()

    def other(self) -> str:
        (name,) = databases(self.server) - {PRODUCTION}
        return name

    def start_switch(self) -> int:
        assert self.starter.stdin and self.starter.stdout
        self.starter.stdin.write(f"{self.other()} {HOST}\n")
        self.starter.stdin.flush()
        return int(self.starter.stdout.readline())

    def await_end(self) -> None:
        assert self.starter.stdout
        assert self.starter.stdout.readline() == "ended\n"

    def whole_switch(self) -> float:
        """Do a switch that nothing cuts off; return how long it took."""
        began = time.monotonic()
        self.start_switch()
        self.await_end()
        return time.monotonic() - began

    def end_connections(self) -> None:
        """End every session of the tool, and no client's."""
        run_sql(
            self.server,
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'postgres' AND pid <> pg_backend_pid()",
        )

    def restart_engine(self) -> None:
        """As a crash of the server: it ends at once, and recovers when it starts."""
        running = self.cluster.server_process()
        assert running
        os.kill(running.pid, signal.SIGQUIT)
        wait_for(lambda: self.cluster.server_process() is None, 30)
        self.cluster.start()

    def serves(self, seconds: float = 15) -> bool:
        """Whether production can be connected to, after a wait for a lock at most."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg2.Error):
                run_sql(self.server, PRODUCTION, "SELECT 1")
                return True
            time.sleep(0.05)
        return False

    def leftovers(self, *allowed: str) -> list[str]:
        """What should not be there once a switch was finished or taken back."""
        found = sorted(databases(self.server))
        left = [f"databases {found}"] if len(found) != 2 else []
        state = recovery_switch.status(self.settings)
        if state["unfinished"]:
            left.append(f"unfinished: {state['unfinished']}")
        if [one["name"] for one in state["candidates"]] != [n for n in found if n != PRODUCTION]:
            left.append(f"candidates {state['candidates']}")
        files = {path.name for path in self.state.iterdir()}
        left += sorted(files - {"recovery-switch.json", "recovery-writes.json", *allowed})
        if self.calls.exists() and self.calls.read_text().split()[-1] != "start":
            left.append("the application is stopped")
        return left

    def rows(self) -> set[int]:
        """The rows that both databases hold."""
        found: set[int] = set()
        for name in databases(self.server):
            found |= {row for (row,) in run_sql(self.server, name, "SELECT row FROM ledger")}
        return found


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    # A server that is thrown away acknowledges what a crash may lose; production's does not.
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        monkeypatch.setitem(private_cluster.SETTINGS, name, "on")
    made = Scene(tmp_path)
    try:
        yield made
    finally:
        made.close()


def finish(scene: Scene, chance: random.Random) -> str:
    """Finish an unfinished switch in one of the ways that people have; return which."""
    state: dict[str, Any] = recovery_switch.status(scene.settings)
    if not state["unfinished"]:
        return "nothing"
    way = chance.choice(("resume", "resume", "the same command", "undo"))
    if way == "resume":
        recovery_switch.resume(scene.settings, lambda text: None)
    elif way == "undo":
        recovery_switch.undo(scene.settings, HOST, lambda text: None)
    else:
        recovery_switch.switch(scene.settings, state["name"], HOST, lambda text: None)
    return way


def test_e8_a_switch_that_ends_at_random_moments(fault: Fault, scene: Scene) -> None:
    count = rounds(8, 200)
    chance = random.Random(SEED)
    fault.cause(
        f"{count} switches cut off by SIGKILL, signals, ended connections, a crash of the server;"
        f" clients connect and write {CLIENTS / PERIOD:.0f} times a second; seed {SEED}"
    )
    whole = min(scene.whole_switch() for _number in range(3))
    survived, closed = 0, 0
    left: list[str] = []
    ended: dict[str, int] = {}
    with Clients(scene.server) as clients:
        for number in range(count):
            way = chance.choice(WAYS)
            pid = scene.start_switch()
            time.sleep(chance.uniform(0, whole * 1.2))
            if way == "connections":
                scene.end_connections()
            elif way == "engine":
                scene.restart_engine()
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, getattr(signal, f"SIG{way}"))
            scene.await_end()
            survived += scene.serves()
            after = finish(scene, chance)
            ended[after] = ended.get(after, 0) + 1
            closed += not scene.serves(5)
            # The journal's next writer replaces what a killed one did not come to rename.
            beside = scene.leftovers(".new-recovery-switch.json")
            left += [f"round {number} ({way}): {text}" for text in beside]
        scene.whole_switch()
        left += scene.leftovers()
    lost = set(clients.acknowledged) - scene.rows()
    refused = [text for text in clients.refusals if "not currently accepting" in text]
    figures = (
        f"rounds {count}, survived {survived}, lost {len(lost)}, closed {closed + len(refused)},"
        f" leftovers {len(left)}"
    )
    fault.note(f"rows acknowledged {len(clients.acknowledged)}; finished by {ended}; {left[:3]}")
    print(f"\nseed {SEED}: {figures}")
    fault.see(
        figures,
        holds=survived == count
        and not lost
        and not closed
        and not refused
        and not left
        and len(clients.acknowledged) > count,
    )
