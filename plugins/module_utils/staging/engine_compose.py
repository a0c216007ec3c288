# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging in Docker: a PostgreSQL and the backend, in a network that nothing leads out of.

Server and backend stand in an internal network alone, on whose bridge this host has no address
either. What answers on loopback is a third container, which stands in that network and in another
one and passes connections inwards: an internal network cannot publish a port itself.

What is ours is known by a label that names the work folder, never by a name. A second label says
until when it may stand, so that what a drill left behind is removed even by a drill whose work
folder is another one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..database import postgres
from ..database.connection import driver, open_connection
from ..database.postgres import Binaries, Server
from . import backend_process, closed_network, docker_programs, isolation, staging
from .docker_cli import Docker
from .staging import StagingSettings

LABEL = "pro.chefwell.resilience.staging"
EXPIRES = "pro.chefwell.resilience.expires"
SERVICE = "com.docker.compose.service"
SERVER, BACKEND, FORWARDER = "postgres_staging", "backend_staging", "forward_staging"
SUPERUSER = "postgres"
# No drill takes a day; what stands longer was left over, unless somebody asked for it to stay.
DRILL_SECONDS = 86400
FOREVER = "never"
# Beside the compose file: what the two services get in their environment, readable by root alone.
SERVER_ENV, BACKEND_ENV = "postgres_staging.env", "backend_staging.env"


class ComposeEngine:
    """The `compose` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        self.settings = settings
        self.place = settings.compose
        self.docker = Docker(self.place.docker_host, self.place.command)
        self.label = f"{LABEL}={settings.work_dir}"
        self._binaries: Binaries | None = None
        self._prepared = False

    def binaries(self) -> Binaries:
        """This host's, if they are of the server's version; else the image's own."""
        if self._binaries is None:
            image = docker_programs.from_image(
                self.docker, self.place.image, self.label, self._is(SERVER)
            )
            self._binaries = image
            with contextlib.suppress(ResilienceError):
                self._binaries = postgres.find_binaries(
                    self.settings.bin_dir or None,
                    at_least=image.major,
                    at_most=image.major,
                    programs=postgres.CLIENTS,
                )
        return self._binaries

    def serves(self) -> bool:
        """Whether the file has a backend."""
        return self.place.serves

    def data_folder(self) -> str | None:
        """Where Docker keeps its volumes, unless that is another machine's."""
        folder = self.docker.run("info", "--format", "{{.DockerRootDir}}")
        return folder if os.path.isdir(folder) else None

    def check(self) -> None:
        """Docker answers, the file is there, the ports and the volume's name are free or ours."""
        self.docker.check()
        self.docker.compose_command()
        if not os.path.isfile(self.place.file):
            raise ResilienceError(
                _("the compose file of staging is missing"),
                option="compose.file",
                value=self.place.file,
                remedy=_("run the stage's playbook, which writes it"),
            )
        self._refuse_others_volume()
        if not self._containers(FORWARDER):
            backend_process.refuse_taken(
                self.place.port, "compose.port", _("the staging PostgreSQL")
            )
            if self.serves():
                port = self.settings.backend.port
                backend_process.refuse_taken(port, "backend_port", _("the staging backend"))

    def prepare(self) -> None:
        """What containers are to be made of: old ones away, a new password written.

        Containers are made and started in one go, by `up` or by whoever calls compose himself.
        """
        self._remove_expired()
        if self.find() is None:
            self.down()
            self._refuse_others_volume()
            self._write_secrets()
            self._prepared = True

    def up(self) -> Server:
        """The server that stands, or a new one with a new password."""
        if not self._prepared:
            self.prepare()
        self._prepared = False
        found = self.find()
        if found:
            return found
        note = staging.read_note(self.settings)
        kept = note is not None and note.kept
        expires = FOREVER if kept else str(int(time.time()) + DRILL_SECONDS)
        self._compose("up", "--detach", SERVER, FORWARDER, expires=expires)
        self._refuse_ways_out(SERVER)
        return self._wait()

    def find(self) -> Server | None:
        """The server, if it and what leads to it run, and our password opens it."""
        if not self.docker.installed():
            return None
        if not self._containers(SERVER, "running") or not self._containers(FORWARDER, "running"):
            return None
        server = self._server()
        return server if _refusal(server) is None else None

    def start_backend(self, server: Server) -> str:
        """The backend over the restored database."""
        self.stop_backend()
        expires = self._expires()
        self._compose("up", "--detach", "--build", "--no-deps", BACKEND, expires=expires)
        self._refuse_ways_out(BACKEND)
        backend = self.settings.backend
        deadline = time.monotonic() + backend.seconds
        while not backend_process.healthy(backend):
            ended = not self._containers(BACKEND, "running")
            if ended or time.monotonic() > deadline:
                raise ResilienceError(
                    backend_process.not_healthy(backend, ended, self.last_words()),
                    option="compose.file",
                    value=self.place.file,
                    remedy=backend_process.must_answer(backend),
                )
            time.sleep(0.1)
        return backend.url

    def backend_url(self) -> str | None:
        """The backend's address, if its container runs."""
        if not self.docker.installed() or not self._containers(BACKEND, "running"):
            return None
        return self.settings.backend.url

    def last_words(self) -> str:
        """The end of the backend's log."""
        return self._log(BACKEND)

    def stop_backend(self) -> None:
        """Removes the backend's container."""
        for number, _name in self._containers(BACKEND):
            self.docker.run("container", "rm", "--force", "--volumes", number)

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """Asked of Docker when it is called; between the calls nothing needs to be looked at."""
        yield self._isolation

    def _isolation(self) -> Evidence:
        found = {service: self._containers(service) for service in (SERVER, BACKEND)}
        gone = [service for service, containers in found.items() if not containers]
        if gone:
            return Evidence(
                _("not to be found: %(containers)s", containers=", ".join(gone)), (), True
            )
        numbers = [number for containers in found.values() for number, _name in containers]
        standings = [closed_network.standing(self.docker, number) for number in numbers]
        variables = closed_network.variables(self.docker, found[BACKEND][0][0])
        return isolation.by_networks(standings, variables)

    def down(self) -> list[str]:
        """Removes containers, networks and volumes that carry our label."""
        return self._remove(self.label) if self.docker.installed() else []

    def forget(self) -> list[str]:
        """Removes the images that compose built of the backend; they carry our label, too."""
        if not self.docker.installed():
            return []
        built = self.docker.listed("image", [self.label], "{{.ID}}", "{{.Repository}}")
        for number, _name in built:
            self.docker.run("image", "rm", number)
        return [f"image {name}" for _number, name in built]

    def _compose(self, *arguments: str, expires: str) -> None:
        self.docker.compose(self.place.file, *arguments, env={"STAGING_EXPIRES": expires})

    def _is(self, service: str) -> str:
        return f"{SERVICE}={service}"

    def _containers(self, service: str, state: str = "") -> list[list[str]]:
        """Number and name of our containers of a service."""
        fields = ("{{.ID}}", "{{.Names}}", "{{.State}}", _label(SERVICE))
        return [
            [number, name]
            for number, name, now, its_service in self.docker.listed(
                "container", [self.label], *fields
            )
            if its_service == service and state in ("", now)
        ]

    def _server(self) -> Server:
        password = ""
        with contextlib.suppress(OSError), open(self._beside(SERVER_ENV), encoding="utf-8") as file:
            password = file.read().strip().rpartition("POSTGRES_PASSWORD=")[2]
        return Server("127.0.0.1", self.place.port, SUPERUSER, password, self.binaries())

    def _beside(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.place.file), name)

    def _write_secrets(self) -> None:
        """New ones for each staging; none of them is production's."""
        password = secrets.token_urlsafe(24)
        inside = Server(SERVER, docker_programs.PORT, SUPERUSER, password, self.binaries())
        name = self.settings.database
        url = (
            f"postgresql://{SUPERUSER}:{password}@{inside.host}:{inside.port}/{name}?schema=public"
        )
        contents = {
            SERVER_ENV: f"POSTGRES_PASSWORD={password}\n",
            BACKEND_ENV: f"DATABASE_URL={url}\nJWT_SECRET={secrets.token_hex(32)}\n",
        }
        for file_name, content in contents.items():
            path = self._beside(file_name)
            try:
                with open(path, "w", encoding="ascii", opener=_private) as file:
                    os.fchmod(file.fileno(), 0o600)
                    file.write(content)
            except OSError as error:
                raise ResilienceError(
                    _("staging's password cannot be written: %(why)s", why=reason(error)),
                    option="compose.file",
                    value=path,
                    remedy=_("make room in the compose file's folder"),
                ) from error

    def _wait(self) -> Server:
        server = self._server()
        deadline = time.monotonic() + self.place.seconds
        # The image starts its server twice; the first one listens on its own socket only.
        while refusal := _refusal(server):
            running = self._containers(SERVER, "running")
            if not running or time.monotonic() > deadline:
                raise ResilienceError(
                    _(
                        "the staging PostgreSQL did not start: %(why)s",
                        why=self._log(SERVER) or refusal,
                    ),
                    option="compose.file",
                    value=self.place.file,
                    remedy=_("mend what its words name"),
                )
            time.sleep(0.1)
        return server

    def _log(self, service: str) -> str:
        with contextlib.suppress(ResilienceError):
            for number, _name in self._containers(service):
                # Most programs write their log to standard error.
                return backend_process.last_lines(self.docker.form(number))
        return ""

    def _expires(self) -> str:
        """Until when the standing server may stand, so that its backend gets the same label."""
        found = self.docker.listed("container", [self.label], _label(EXPIRES))
        return found[0][0] if found and found[0][0] else FOREVER

    def _refuse_others_volume(self) -> None:
        """A volume of that name that is not ours would be used, and its data with it."""
        ours = [name for (name,) in self.docker.listed("volume", [self.label], "{{.Name}}")]
        said = self.docker.run("volume", "ls", "--format", "{{.Name}}")
        if self.place.volume in said.split() and self.place.volume not in ours:
            raise ResilienceError(
                _("a volume of staging's name exists, and this staging did not make it"),
                option="compose.volume",
                value=self.place.volume,
                remedy=_("name another volume, or remove that one; nothing was touched"),
            )

    def _refuse_ways_out(self, service: str) -> None:
        """Looks whether the service really stands in internal networks only."""
        for number, name in self._containers(service):
            networks = closed_network.standing(self.docker, number).networks
            if not networks or not all(network.internal for network in networks):
                raise ResilienceError(
                    _(
                        "%(container)s could reach the world outside: %(networks)s",
                        container=name,
                        networks=", ".join(network.name for network in networks) or "-",
                    ),
                    option="compose.file",
                    value=self.place.file,
                    remedy=_("let it stand in internal networks only, as the role writes the file"),
                )

    def _remove_expired(self) -> None:
        """Removes what other stagings of this engine's left behind after their time."""
        wanted = (_label(LABEL), _label(EXPIRES))
        for kind in ("container", "volume"):
            for owner, expires in self.docker.listed(kind, [LABEL], *wanted):
                if owner and expires.isdigit() and int(expires) < time.time():
                    self._remove(f"{LABEL}={owner}", f"{EXPIRES}={expires}")

    def _remove(self, *labels: str) -> list[str]:
        removed = []
        for number, name in self.docker.listed("container", labels, "{{.ID}}", "{{.Names}}"):
            self.docker.run("container", "rm", "--force", "--volumes", number)
            removed.append(f"container {name}")
        for kind in ("network", "volume"):
            for (name,) in self.docker.listed(kind, labels, "{{.Name}}"):
                self.docker.run(kind, "rm", name)
                removed.append(f"{kind} {name}")
        return removed


def _label(name: str) -> str:
    """The template of a label's value."""
    return '{{.Label "' + name + '"}}'


def _refusal(server: Server) -> str | None:
    """Why the server cannot be connected to; None if it can."""
    parameters = {**server.dsn("postgres"), "connect_timeout": 5}
    try:
        open_connection(parameters).close()
    except driver().OperationalError as error:
        return str(error).strip() or "no answer"
    return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def engine(settings: StagingSettings) -> ComposeEngine:
    """This engine."""
    return ComposeEngine(settings)
