# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application over a restored database, as a process on a loopback port.

Engines whose application is a process of this host inherit from `ProcessBackedEngine`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import inspect
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

from ..checks.checks import Evidence
from ..common import detached, json_text
from ..common.detached import DetachedProcess
from ..common.errors import ResilienceError
from ..common.messages import Message, _
from ..common.system_errors import reason
from ..database import postgres
from ..database.postgres import Server
from . import port_relay, production_guard, sandbox
from .connection_monitor import ConnectionMonitor
from .staging import BackendSettings, StagingSettings

PROCESS_FILE = "backend.json"
LOG = "backend.log"
# In the sandbox: the folder of the socket that leads to the application's port, the socket, and
# the program that passes connections on.
SOCKET_FOLDER, SOCKET, RELAY = "backend-socket", "backend", "port_relay.py"
# Characters of a log that an error shows.
LOG_TAIL = 600
# Loopback is never reached through a proxy of the environment.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def healthy(backend: BackendSettings) -> bool:
    """Return whether a backend responds to its health path with 200."""
    try:
        with _OPENER.open(backend.url + backend.health_path, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def last_lines(text: str) -> str:
    """Return the end of a log, from the beginning of a line on where it has several."""
    end = text.strip()[-LOG_TAIL:]
    if len(end) < len(text.strip()) and "\n" in end:
        end = end.partition("\n")[2]
    return end.strip()


def unhealthy_message(backend: BackendSettings, ended: bool, log: str) -> Message:
    """Return why a backend cannot be used.

    Args:
        backend: its settings.
        ended: whether it has ended, and not only taken too long.
        log: the end of its log.
    """
    why = log or _("it is empty")
    if ended:
        return _("the staging backend ended; its log: %(why)s", why=why)
    return _(
        "the staging backend was not healthy within %(seconds)s s; its log: %(why)s",
        seconds=f"{backend.seconds:g}",
        why=why,
    )


def health_remedy(backend: BackendSettings) -> Message:
    """Return the remedy for that."""
    return _(
        "correct what its log names; it must respond to %(path)s with 200",
        path=backend.health_path,
    )


def require_free_port(port: int, option: str, what: str) -> None:
    """Make sure that a loopback port is free.

    Args:
        port: the port.
        option: the option that names it.
        what: what will listen on it, for the message.

    Raises:
        ResilienceError: another program listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ResilienceError(
                _("the port of %(what)s cannot be had: %(why)s", what=what, why=reason(error)),
                option=option,
                value=port,
                remedy=_("stop what listens on it, or name another port"),
            ) from error


class BackendProcess:
    """The application of one staging.

    Args:
        backend: its settings.
        work_dir: folder of its process file and its log.
        sandboxed: whether it runs in a sandbox, from which a relay leads its port to loopback.
    """

    def __init__(self, backend: BackendSettings, work_dir: str, *, sandboxed: bool = False) -> None:
        self.backend, self.sandboxed = backend, sandboxed
        self._process_file = os.path.join(work_dir, PROCESS_FILE)
        self.log = os.path.join(work_dir, LOG)
        self._socket = os.path.join(work_dir, SOCKET_FOLDER, SOCKET)
        self._relay = os.path.join(work_dir, RELAY)

    def check(self) -> None:
        """Make sure that its port is free, or that it listens there itself.

        Raises:
            ResilienceError: another program listens there.
        """
        if not self.backend.command or self.running():
            return
        require_free_port(self.backend.port, "backend_port", _("the staging backend"))

    def start(self, server: Server, database: str) -> str:
        """Start it, wait until it is healthy, return its URL.

        Args:
            server: with the restored database.
            database: its name.

        Raises:
            ResilienceError: it ends, or is not healthy in time; with the end of its log.
        """
        backend = self.backend
        env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOST": "127.0.0.1",
            "PORT": str(backend.port),
            "DATABASE_URL": server.url(database),
            **backend.env,
        }
        with open(self.log, "w", encoding="utf-8"):
            pass
        started: list[DetachedProcess] = []
        for command in self._commands(server, env["PATH"]):
            running = detached.start(command, log_path=self.log, env=env if not started else None)
            started.append(running)
            with open(self._process_file, "w", encoding="utf-8") as file:
                json.dump([dataclasses.asdict(one) for one in started], file)
        running = started[0]
        deadline = time.monotonic() + backend.seconds
        while not self.healthy():
            ended = not detached.is_running(running)
            if ended or time.monotonic() > deadline:
                raise ResilienceError(
                    unhealthy_message(backend, ended, self.log_tail()),
                    option="backend_command",
                    value=" ".join(backend.command),
                    remedy=health_remedy(backend),
                )
            time.sleep(0.05)
        return backend.url

    def _commands(self, server: Server, path: str) -> list[list[str]]:
        """Return the command of the application, and of what leads to it where that is needed."""
        backend = self.backend
        if not self.sandboxed:
            # What runs over restored data runs without root's privileges.
            reads = [one for one in backend.command if one.startswith("/")]
            return [[*postgres.unprivileged(reads), *backend.command]]
        folder = os.path.dirname(self._socket)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(folder, postgres.UNPRIVILEGED, postgres.UNPRIVILEGED)
        with open(self._relay, "w", encoding="utf-8") as file:
            file.write(inspect.getsource(port_relay))
        os.chmod(self._relay, 0o644)
        python = sys.executable or "/usr/bin/python3"
        relay = [python, "-I", self._relay]
        where = [self._socket, str(backend.port), str(postgres.UNPRIVILEGED)]
        reads = [
            *sandbox.folders_of(backend.command, path),
            *sandbox.folders_of([python], path),
            *sandbox.outside_system([sys.prefix, sys.base_prefix]),
            *(os.path.abspath(one) for one in backend.folders),
            self._relay,
            *([server.host] if server.host.startswith("/") else []),
        ]
        inside = sandbox.command(
            [*relay, "inside", *where, *backend.command],
            reads=reads,
            writes=[folder],
            outlives=True,
        )
        return [inside, [*relay, "outside", *where]]

    def healthy(self) -> bool:
        """Return whether it responds to its health path with 200."""
        return healthy(self.backend)

    def running(self) -> DetachedProcess | None:
        """Return its process, or that of its sandbox; None if it does not run."""
        recorded = self._recorded()
        return recorded[0] if recorded and detached.is_running(recorded[0]) else None

    def _recorded(self) -> list[DetachedProcess]:
        """Return the application's process and the relay's, as they were started."""
        try:
            with open(self._process_file, encoding="utf-8") as file:
                return [DetachedProcess(**one) for one in json_text.load(file)]
        except (OSError, ValueError, TypeError):
            return []

    def log_tail(self) -> str:
        """Return the end of its log."""
        try:
            with open(self.log, encoding="utf-8", errors="backslashreplace") as file:
                return last_lines(file.read())
        except OSError:
            return ""

    def stop(self) -> bool:
        """Stop it, and return whether it ran. Its log stays until staging is removed."""
        running = self.running()
        for one in reversed(self._recorded()):
            # A sandbox's first process passes no signal on.
            if detached.is_running(one):
                detached.stop(one, [] if self.sandboxed else [signal.SIGTERM], seconds=3)
        for path in (self._process_file, self._relay):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        shutil.rmtree(os.path.dirname(self._socket), ignore_errors=True)
        return running is not None


class ProcessBackedEngine:
    """The part of `staging.Engine` that concerns the application.

    Attributes:
        settings: of staging.
        backend: the application.
    """

    # Port of a server among the programs: what is connected to it are its clients.
    served_port = 0

    def __init__(self, settings: StagingSettings, *, sandboxed: bool = False) -> None:
        self.settings = settings
        self.backend = BackendProcess(settings.backend, settings.work_dir, sandboxed=sandboxed)

    def remove_cached(self) -> list[str]:
        """Return nothing: nothing is kept for the next staging."""
        return []

    def serves(self) -> bool:
        """Return whether a command starts the backend."""
        return bool(self.settings.backend.command)

    def start_backend(self, server: Server) -> str:
        """Start the backend over the restored database, and return its URL."""
        return self.backend.start(server, self.settings.database)

    def backend_url(self) -> str | None:
        """Return the backend's address, if it runs."""
        return self.settings.backend.url if self.backend.running() else None

    def log_tail(self) -> str:
        """Return the end of the backend's log."""
        return self.backend.log_tail()

    def stop_backend(self) -> None:
        """Stop the backend."""
        self.backend.stop()

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """Monitor the connections of staging's processes: no network is closed around them."""
        settings = self.settings
        with ConnectionMonitor(
            self.programs,
            _addresses(server),
            functools.partial(production_guard.is_production, settings),
            settings.production.port if settings.production.host else 0,
            self.served_port,
        ) as monitor:
            yield functools.partial(monitor.evidence, settings.backend.env)

    def programs(self) -> list[int]:
        """Return the process numbers of staging's programs on this host."""
        running = self.backend.running()
        return [running.pid] if running else []

    def remove_backend(self) -> list[str]:
        """Stop the backend and remove its log; return the names of what was removed."""
        ran = self.backend.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.backend.log)
        return [f"backend on port {self.settings.backend.port}"] if ran else []


def _addresses(server: Server) -> list[tuple[str, int]]:
    """Return the addresses of a server, each with its port; none of one on a Unix socket."""
    if server.host.startswith("/"):
        return []
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [(str(one[4][0]), server.port) for one in found]
