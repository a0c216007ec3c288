# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the connections of some programs of this host again and again, while they run.

The kernel lists what is open at one moment; what opens and closes between two looks is not seen.
Requests to a name server are left out: how a name is found says nothing yet of who is connected to.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..checks.checks import Evidence
from ..common.libraries import load_psutil
from . import isolation
from .isolation import Connection

INTERVAL_SECONDS = 0.2
NAME_SERVER = 53


class ConnectionMonitor:
    """Reads connections from `__enter__` to `__exit__`, in a thread of its own.

    Args:
        programs: returns the process numbers of those that run now; their descendants count too.
        allowed: address and port of what they may be connected to beside loopback.
        production: whether an address and a port are production's, loopback or not.
        production_port: the only port that is compared with production's.
        served_port: a port of the programs; their own clients there are no finding.
    """

    def __init__(
        self,
        programs: Callable[[], Sequence[int]],
        allowed: Iterable[tuple[str, int]],
        production: Callable[[str, int], bool],
        production_port: int,
        served_port: int = 0,
    ) -> None:
        self._programs, self._allowed = programs, set(allowed)
        self._production, self._production_port = production, production_port
        self._served_port = served_port
        self._began = self._ended = time.monotonic()
        self._looks = 0
        self._unread = ""
        self._seen: dict[tuple[str, int], Connection] = {}
        self._harmless: set[tuple[str, int]] = set()
        self._stop, self._looking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)

    def __enter__(self) -> ConnectionMonitor:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: Any) -> None:
        self._stop.set()
        self._thread.join()

    def evidence(self, variables: Iterable[str]) -> Evidence:
        """Return what was seen until now, after one more look.

        Args:
            variables: names of what is set for the application.
        """
        self._look()
        with self._looking:
            seen = [self._seen[key] for key in sorted(self._seen)]
            seconds = self._ended - self._began
            return isolation.judge_connections(self._looks, seconds, seen, variables, self._unread)

    def _run(self) -> None:
        while True:
            self._look()
            if self._stop.wait(INTERVAL_SECONDS):
                return

    def _look(self) -> None:
        with self._looking:
            try:
                found = list(process_family(self._programs()))
                for process in found:
                    self._read(process)
            except (OSError, load_psutil().Error) as error:
                # What cannot be read is no proof of silence.
                self._unread = f"{type(error).__name__}: {error}"
                return
            if found:
                self._looks += 1
                self._unread = ""
                self._ended = time.monotonic()

    def _read(self, process: Any) -> None:
        """Judge the open connections of a process."""
        # psutil renamed it in 6.0; Debian 12 has 5.9.
        read = getattr(process, "net_connections", None) or process.connections
        with _ended():
            for socket in read(kind="inet"):
                if not socket.raddr or socket.laddr[1] == self._served_port:
                    continue
                end = (plain_address(socket.raddr[0]), int(socket.raddr[1]))
                if end not in self._seen and end not in self._harmless:
                    self._judge(process, *end)

    def _judge(self, process: Any, address: str, port: int) -> None:
        allowed = (address, port) in self._allowed
        production = (
            port == self._production_port and not allowed and self._production(address, port)
        )
        loopback = ipaddress.ip_address(address).is_loopback
        if production or not (loopback or allowed or port == NAME_SERVER):
            program = f"{process.name()} ({process.pid})"
            self._seen[(address, port)] = Connection(program, address, port, production)
        else:
            self._harmless.add((address, port))


def process_family(pids: Sequence[int]) -> Iterator[Any]:
    """Yield the processes, the rest of their sessions, and all descendants of these."""
    psutil = load_psutil()
    sessions = set(pids)
    roots = set(pids)
    for pid in psutil.pids():
        with _ended():
            if os.getsid(pid) in sessions:
                roots.add(pid)
    done: set[int] = set()
    for pid in sorted(roots):
        with _ended():
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                if one.pid not in done and one.status() != psutil.STATUS_ZOMBIE:
                    done.add(one.pid)
                    yield one


def plain_address(written: str) -> str:
    """Return an address in one form: an IPv4 address that is written as IPv6 is IPv4."""
    address = ipaddress.ip_address(written.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


@contextlib.contextmanager
def _ended() -> Iterator[None]:
    """Pass over a process that ends while it is read."""
    with contextlib.suppress(load_psutil().NoSuchProcess, FileNotFoundError, ProcessLookupError):
        yield
