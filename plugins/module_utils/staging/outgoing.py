# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks again and again at the connections of some programs of this host, while they run.

The kernel lists what is open at one moment (proc(5), `net/tcp`); what opens and closes between two
looks is not seen. Questions to a name server are left out: how a name is found says nothing yet of
who is spoken to.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..checks.checks import Evidence
from . import isolation
from .isolation import Connection

EVERY_SECONDS = 0.2
LISTS = ("tcp", "tcp6", "udp", "udp6")
NAME_SERVER = 53


class ConnectionWatch:
    """Looks from `__enter__` to `__exit__`, in a thread of its own.

    Args:
        programs: gives the process numbers of those that run now; what they started is theirs.
        allowed: address and port of what they may be connected to beside loopback.
        production: whether an address and a port are production's, loopback or not.
        production_port: the only port that this is asked of.
    """

    def __init__(
        self,
        programs: Callable[[], Sequence[int]],
        allowed: Iterable[tuple[str, int]],
        production: Callable[[str, int], bool],
        production_port: int,
    ) -> None:
        self._programs, self._allowed = programs, set(allowed)
        self._production, self._production_port = production, production_port
        self._began = self._ended = time.monotonic()
        self._looks = 0
        self._unread = ""
        self._seen: dict[tuple[str, int], Connection] = {}
        # Sockets that are somebody else's; their numbers are not used again.
        self._others: set[int] = set()
        self._unheld: set[int] = set()
        self._stop, self._looking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="outgoing", daemon=True)

    def __enter__(self) -> ConnectionWatch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self._stop.set()
        self._thread.join()

    def answer(self, variables: Iterable[str]) -> Evidence:
        """What was seen until now, after one more look.

        Args:
            variables: names of what is set for the application.
        """
        self._look()
        with self._looking:
            seen = [self._seen[key] for key in sorted(self._seen)]
            seconds = self._ended - self._began
            return isolation.by_looking(self._looks, seconds, seen, variables, self._unread)

    def _run(self) -> None:
        while True:
            self._look()
            if self._stop.wait(EVERY_SECONDS):
                return

    def _look(self) -> None:
        with self._looking:
            try:
                programs = [pid for pid in self._programs() if os.path.isdir(f"/proc/{pid}")]
                if not programs:
                    return
                self._judge(programs, _sockets(programs))
                self._looks += 1
                self._unread = ""
                self._ended = time.monotonic()
            except OSError as error:
                # What cannot be read is no proof of silence.
                self._unread = f"{type(error).__name__}: {error}"

    def _judge(self, programs: Sequence[int], sockets: dict[int, tuple[str, int]]) -> None:
        doubtful = {
            number: end
            for number, end in sockets.items()
            if number not in self._others and self._counts(*end)
        }
        if not doubtful:
            return
        holders = _holders(programs)
        for number, (address, port) in doubtful.items():
            if number not in holders:
                # Perhaps of one that was started while they were listed: the next look decides.
                (self._others if number in self._unheld else self._unheld).add(number)
                continue
            production = self._production(address, port)
            if production or not _is_loopback(address):
                self._seen.setdefault(
                    (address, port), Connection(holders[number], address, port, production)
                )
            self._others.add(number)

    def _counts(self, address: str, port: int) -> bool:
        """Whether it matters whose connection this is."""
        if port == self._production_port:
            return (address, port) not in self._allowed
        return port != NAME_SERVER and not (
            _is_loopback(address) or (address, port) in self._allowed
        )


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _sockets(programs: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Every connected socket in the programs' networks: its number, and where it leads."""
    networks: dict[str, int] = {}
    for pid in programs:
        with _gone():
            networks[os.readlink(f"/proc/{pid}/ns/net")] = pid
    found: dict[int, tuple[str, int]] = {}
    for pid in networks.values():
        for name in LISTS:
            with _gone(), open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    address, port = fields[2].split(":")
                    number = int(fields[9])
                    # One that waits for its end has no holder any more.
                    if number and int(port, 16):
                        found[number] = (_address(address), int(port, 16))
    return found


def _address(written: str) -> str:
    """An address as the kernel writes it there: 32-bit words, each in this machine's order."""
    words = [int(written[place : place + 8], 16) for place in range(0, len(written), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _holders(programs: Sequence[int]) -> dict[int, str]:
    """The sockets that the programs, and what they started, hold: number, and who in words."""
    found: dict[int, str] = {}
    for pid in _family(programs):
        with _gone():
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                program = f"{file.read().strip()} ({pid})"
            for name in os.listdir(f"/proc/{pid}/fd"):
                with _gone():
                    led = os.readlink(f"/proc/{pid}/fd/{name}")
                    if led.startswith("socket:["):
                        found[int(led[8:-1])] = program
    return found


def _family(programs: Sequence[int]) -> set[int]:
    """The programs, the rest of their sessions, and all that descends from these."""
    parents: dict[int, int] = {}
    found = set(programs)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with _gone(), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                # proc(5): state, parent, group, session, after the name in brackets.
                fields = file.read().rpartition(")")[2].split()
                parents[int(name)] = int(fields[1])
                if int(fields[3]) in programs:
                    found.add(int(name))
    more = True
    while more:
        children = {pid for pid, parent in parents.items() if parent in found} - found
        found |= children
        more = bool(children)
    return found


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    """A process that ends while it is looked at is no failure."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        yield
