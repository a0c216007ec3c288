# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application over a restored database, as a process on a loopback port.

The engines whose application is a process of this host share `ServedByProcess`.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator

from ..checks.checks import Evidence
from ..common import detached
from ..common.detached import Running
from ..common.errors import ResilienceError
from ..common.messages import Message, _
from ..common.system_errors import reason
from ..database import postgres
from ..database.postgres import Server
from . import isolation, staging
from .outgoing import ConnectionWatch
from .staging import BackendSettings, StagingSettings

NOTE = "backend.json"
LOG = "backend.log"
# Characters of a log that are told.
LAST_WORDS = 600
# No proxy of the environment stands between us and our own loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def healthy(backend: BackendSettings) -> bool:
    """Whether a backend answers its health path with 200."""
    try:
        with _OPENER.open(backend.url + backend.health_path, timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def last_lines(text: str) -> str:
    """The end of a log, from the beginning of a line on where it has several."""
    end = text.strip()[-LAST_WORDS:]
    if len(end) < len(text.strip()) and "\n" in end:
        end = end.partition("\n")[2]
    return end.strip()


def not_healthy(backend: BackendSettings, ended: bool, said: str) -> Message:
    """Why a backend cannot be used.

    Args:
        backend: it.
        ended: whether it has ended, and not only taken too long.
        said: the end of its log.
    """
    why = said or _("nothing")
    if ended:
        return _("the staging backend ended; it said: %(why)s", why=why)
    return _(
        "the staging backend was not healthy within %(seconds)s s; it said: %(why)s",
        seconds=f"{backend.seconds:g}",
        why=why,
    )


def must_answer(backend: BackendSettings) -> Message:
    """What is to be done about that."""
    return _("mend what its words name; it must answer %(path)s with 200", path=backend.health_path)


def refuse_taken(port: int, option: str, what: str) -> None:
    """Finds out whether a loopback port is free.

    Args:
        port: the port.
        option: the option that names it.
        what: whose it is to be, for the message.

    Raises:
        ResilienceError: somebody listens there.
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
                remedy=_("end what listens there, or name another port"),
            ) from error


class BackendProcess:
    """The application of one staging.

    Args:
        backend: how to start it.
        work_dir: where its note and its log lie.
    """

    def __init__(self, backend: BackendSettings, work_dir: str) -> None:
        self.backend = backend
        self._note = os.path.join(work_dir, NOTE)
        self.log = os.path.join(work_dir, LOG)

    def check(self) -> None:
        """Finds out whether its port is free; ours does not count as taken.

        Raises:
            ResilienceError: somebody else listens there.
        """
        if not self.backend.command or self.running():
            return
        refuse_taken(self.backend.port, "backend_port", _("the staging backend"))

    def start(self, server: Server, database: str) -> str:
        """Starts it and waits until it is healthy; gives its URL.

        Args:
            server: with the restored database.
            database: its name.

        Raises:
            ResilienceError: it ends, or is not healthy in time; with its last words.
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
        open(self.log, "w", encoding="utf-8").close()
        # What runs over restored data runs without root's powers.
        prefix = postgres.unprivileged([path for path in backend.command if path.startswith("/")])
        running = detached.start([*prefix, *backend.command], log_path=self.log, env=env)
        with open(self._note, "w", encoding="utf-8") as file:
            json.dump({"pid": running.pid, "began": running.began}, file)
        deadline = time.monotonic() + backend.seconds
        while not self.healthy():
            ended = not detached.alive(running)
            if ended or time.monotonic() > deadline:
                raise ResilienceError(
                    not_healthy(backend, ended, self.last_words()),
                    option="backend_command",
                    value=" ".join(backend.command),
                    remedy=must_answer(backend),
                )
            time.sleep(0.05)
        return backend.url

    def healthy(self) -> bool:
        """Whether it answers its health path with 200."""
        return healthy(self.backend)

    def running(self) -> Running | None:
        """Its process; None if it does not run."""
        try:
            with open(self._note, encoding="utf-8") as file:
                noted = Running(**json.load(file))
        except (OSError, ValueError, TypeError):
            return None
        return noted if detached.alive(noted) else None

    def last_words(self) -> str:
        """The end of its log."""
        try:
            with open(self.log, encoding="utf-8", errors="backslashreplace") as file:
                return last_lines(file.read())
        except OSError:
            return ""

    def stop(self) -> bool:
        """Ends it; whether it ran. Its log stays until the staging is removed."""
        running = self.running()
        if running:
            detached.end(running, [signal.SIGTERM], seconds=3)
        if os.path.exists(self._note):
            os.unlink(self._note)
        return running is not None


class ServedByProcess:
    """The part of `staging.Engine` that is about the application.

    Attributes:
        settings: of staging.
        backend: the application.
    """

    def __init__(self, settings: StagingSettings) -> None:
        self.settings = settings
        self.backend = BackendProcess(settings.backend, settings.work_dir)

    def forget(self) -> list[str]:
        """Nothing: what is served by a process keeps nothing for the next one."""
        return []

    def serves(self) -> bool:
        """Whether a command starts the backend."""
        return bool(self.settings.backend.command)

    def start_backend(self, server: Server) -> str:
        """The backend over the restored database."""
        return self.backend.start(server, self.settings.database)

    def backend_url(self) -> str | None:
        """The backend's address, if it runs."""
        return self.settings.backend.url if self.backend.running() else None

    def last_words(self) -> str:
        """The end of the backend's log."""
        return self.backend.last_words()

    def stop_backend(self) -> None:
        """Ends the backend."""
        self.backend.stop()

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """No network is closed around processes of this host, so they are looked at."""
        settings = self.settings
        if not self.serves():
            # Without an application nobody asks.
            yield functools.partial(isolation.by_looking, 0, 0.0, (), ())
            return
        with ConnectionWatch(
            self.programs,
            _ends(server),
            functools.partial(staging.is_production, settings),
            settings.production.port if settings.production.host else 0,
        ) as watch:
            yield functools.partial(watch.answer, settings.backend.env)

    def programs(self) -> list[int]:
        """Process numbers of what runs of staging on this host."""
        running = self.backend.running()
        return [running.pid] if running else []

    def remove_backend(self) -> list[str]:
        """Ends the backend and removes its log; in words what that was."""
        ran = self.backend.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.backend.log)
        return [f"backend on port {self.settings.backend.port}"] if ran else []


def _ends(server: Server) -> list[tuple[str, int]]:
    """Addresses of a server, each with its port; none of one behind a Unix socket."""
    if server.host.startswith("/"):
        return []
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [(str(one[4][0]), server.port) for one in found]
