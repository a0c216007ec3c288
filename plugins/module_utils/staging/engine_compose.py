# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging in Docker: a PostgreSQL and the backend, in a network that nothing leads out of.

Server and backend are in an internal network alone, on whose bridge this host has no address
either. What answers on loopback is a third container, which is in that network and in another one
and passes connections inwards: an internal network cannot publish a port itself.

Staging's resources are known by a label that names the work folder, never by a name. A second label
says until when they may stay, so that what a drill left behind is removed even by a drill whose
work folder is another one.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.libraries import load_psutil
from ..common.messages import _
from ..common.system_errors import reason
from ..database import postgres
from ..database.connection import driver, open_connection
from ..database.postgres import Binaries, Server
from . import backend_process, container_networks, docker_programs, isolation, staging_state
from .compose_command import ComposeCommand
from .docker_engine import SYSTEM_SOCKET, DockerEngine
from .staging import StagingSettings

LABEL = "pro.chefwell.resilience.staging"
EXPIRES = "pro.chefwell.resilience.expires"
SERVICE, PROJECT = "com.docker.compose.service", "com.docker.compose.project"
SERVER, BACKEND, FORWARDER = "postgres_staging", "backend_staging", "forward_staging"
SUPERUSER = "postgres"
# No drill takes a day; what is older was left over, unless it was set up to stay.
DRILL_SECONDS = 86400
FOREVER = "never"
# How long a server that runs may take to respond, and a compose command of a killed drill to end.
SLOW_SECONDS, LEFT_SECONDS = 15, 120
# Beside the compose file: what the two services get in their environment, readable by root alone.
SERVER_ENV, BACKEND_ENV = "postgres_staging.env", "backend_staging.env"


class ComposeEngine:
    """The `compose` engine; see `staging.Engine`."""

    def __init__(self, settings: StagingSettings) -> None:
        self.settings = settings
        self.compose_settings = settings.compose
        self.docker = DockerEngine(
            self.compose_settings.docker_host or SYSTEM_SOCKET, option="compose.docker_host"
        )
        self.compose = ComposeCommand(
            self.compose_settings.docker_host, self.compose_settings.command
        )
        self.label = f"{LABEL}={settings.work_dir}"
        self._binaries: Binaries | None = None
        self._prepared = False

    def binaries(self) -> Binaries:
        """Return this host's programs, if they are of the server's version; else the image's."""
        if self._binaries is None:
            image = docker_programs.from_image(
                self.docker, self.compose_settings.image, self.label, f"{SERVICE}={SERVER}"
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
        """Return whether the file has a backend."""
        return self.compose_settings.serves

    def data_folder(self) -> str | None:
        """Return where Docker keeps its volumes; None if that is another machine's."""
        with self.docker.errors("info"):
            folder = str(self.docker.client.info()["DockerRootDir"])
        return folder if os.path.isdir(folder) else None

    def check(self) -> None:
        """Make sure that Docker answers, the file is there, ports and names are free or staging's.

        Raises:
            ResilienceError: one of these is not so.
        """
        self.docker.ping()
        self.compose.command()
        if not os.path.isfile(self.compose_settings.file):
            raise ResilienceError(
                _("the compose file of staging is missing"),
                option="compose.file",
                value=self.compose_settings.file,
                remedy=_(
                    "run the stage's playbook, which writes it; after a rollback by hand, delete "
                    "the drill's line with crontab -e"
                ),
            )
        self._refuse_other_owners()
        if not self._containers(FORWARDER):
            backend_process.require_free_port(
                self.compose_settings.port, "compose.port", _("the staging PostgreSQL")
            )
            if self.serves():
                port = self.settings.backend.port
                backend_process.require_free_port(port, "backend_port", _("the staging backend"))

    def prepare(self) -> None:
        """Remove what an earlier drill left and write a new password.

        Containers are made and started in one go, by `up` or by compose itself.
        """
        self._remove_expired()
        self._await_compose()
        if self.find() is None:
            self._refuse_silent()
            # A network that another container holds is used again.
            self._remove([self.label])
            self._refuse_other_owners()
            self._write_secrets()
            self._prepared = True

    def up(self) -> Server:
        """Return the running server, or start one with a new password."""
        if not self._prepared:
            self.prepare()
        self._prepared = False
        found = self.find()
        if found:
            return found
        state = staging_state.read(self.settings)
        kept = state is not None and state.kept
        expires = FOREVER if kept else str(int(time.time()) + DRILL_SECONDS)
        self._compose_up(SERVER, FORWARDER, expires=expires)
        self._refuse_ways_out(SERVER)
        return self._wait()

    def find(self) -> Server | None:
        """Return the server, if it and its forwarder run and the password opens it.

        One that is slow is given some time.
        """
        if not self.docker.installed():
            return None
        deadline = time.monotonic() + SLOW_SECONDS
        while self._running(SERVER) and self._running(FORWARDER):
            server = self._server()
            if _refusal(server) is None:
                return server
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        return None

    def start_backend(self, server: Server) -> str:
        """Start the backend over the restored database, wait for it, return its URL."""
        self.stop_backend()
        self._compose_up("--build", "--no-deps", BACKEND, expires=self._expires())
        self._refuse_ways_out(BACKEND)
        backend = self.settings.backend
        deadline = time.monotonic() + backend.seconds
        while not backend_process.healthy(backend):
            ended = not self._running(BACKEND)
            if ended or time.monotonic() > deadline:
                raise ResilienceError(
                    backend_process.unhealthy_message(backend, ended, self.log_tail()),
                    option="compose.file",
                    value=self.compose_settings.file,
                    remedy=backend_process.health_remedy(backend),
                )
            time.sleep(0.1)
        return backend.url

    def backend_url(self) -> str | None:
        """Return the backend's address, if its container runs."""
        if not self.docker.installed() or not self._running(BACKEND):
            return None
        return self.settings.backend.url

    def log_tail(self) -> str:
        """Return the end of the backend's log."""
        return self._log(BACKEND)

    def stop_backend(self) -> None:
        """Remove the backend's container."""
        for container in self._containers(BACKEND):
            self.docker.remove("container", container)

    @contextlib.contextmanager
    def isolation(self, server: Server) -> Iterator[Callable[[], Evidence]]:
        """Yield the check of the networks; it queries Docker when it is called."""
        yield self._isolation_evidence

    def _isolation_evidence(self) -> Evidence:
        services = (SERVER, BACKEND) if self.serves() else (SERVER,)
        found = {service: self._containers(service) for service in services}
        gone = [service for service, containers in found.items() if not containers]
        if gone:
            return Evidence(
                _("these containers are gone: %(containers)s", containers=", ".join(gone)),
                skipped=True,
            )
        containers = [one for held in found.values() for one in held]
        networks = [container_networks.inspect(self.docker, one) for one in containers]
        variables: list[str] = []
        if BACKEND in found:
            variables = container_networks.variable_names(self.docker, found[BACKEND][0])
        return isolation.judge_networks(networks, variables)

    def down(self) -> list[str]:
        """Remove the containers, volumes and networks that carry the label, and return their names.

        Raises:
            ResilienceError: some of them cannot be removed; the message names them.
        """
        if not self.docker.installed():
            return []
        self._await_compose()
        removed, left = self._remove([self.label])
        if left:
            raise ResilienceError(
                _("not all of staging could be removed: %(why)s", why="; ".join(left)),
                option="compose.file",
                value=self.compose_settings.file,
                remedy=_("remove what uses it, then run cleanup-staging again"),
            )
        return removed

    def remove_cached(self) -> list[str]:
        """Remove the images that compose built of the backend, and return their names."""
        if not self.docker.installed():
            return []
        removed = []
        for image in self.docker.images([self.label]):
            name = (image.tags or [image.short_id])[0]
            with self.docker.errors("image rm"):
                self.docker.client.images.remove(image.id)
            removed.append(f"image {name}")
        return removed

    def _compose_up(self, *arguments: str, expires: str) -> None:
        variables = {"STAGING_EXPIRES": expires}
        self.compose.run(
            self.compose_settings.file, "up", "--detach", *arguments, variables=variables
        )

    def _containers(self, service: str) -> list[Any]:
        """Return staging's containers of a service."""
        return self.docker.containers([self.label, f"{SERVICE}={service}"])

    def _running(self, service: str) -> bool:
        return any(container.status == "running" for container in self._containers(service))

    def _server(self) -> Server:
        password = ""
        with contextlib.suppress(OSError), open(self._beside(SERVER_ENV), encoding="utf-8") as file:
            password = file.read().strip().rpartition("POSTGRES_PASSWORD=")[2]
        return Server("127.0.0.1", self.compose_settings.port, SUPERUSER, password, self.binaries())

    def _beside(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.compose_settings.file), name)

    def _write_secrets(self) -> None:
        """Write new passwords; none of them is production's."""
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
                replace_file(path, content)
            except OSError as error:
                raise ResilienceError(
                    _("staging's password cannot be written: %(why)s", why=reason(error)),
                    option="compose.file",
                    value=path,
                    remedy=_("make room in the compose file's folder"),
                ) from error

    def _wait(self) -> Server:
        server = self._server()
        deadline = time.monotonic() + self.compose_settings.seconds
        # The image starts its server twice; the first one listens on its own socket only.
        while refusal := _refusal(server):
            if not self._running(SERVER) or time.monotonic() > deadline:
                raise ResilienceError(
                    _(
                        "the staging PostgreSQL did not start: %(why)s",
                        why=self._log(SERVER) or refusal,
                    ),
                    option="compose.file",
                    value=self.compose_settings.file,
                    remedy=_("correct what its log names"),
                )
            time.sleep(0.1)
        return server

    def _log(self, service: str) -> str:
        with contextlib.suppress(ResilienceError):
            for container in self._containers(service):
                # Most programs write their log to standard error.
                return backend_process.last_lines(self.docker.log_tail(container))
        return ""

    def _refuse_silent(self) -> None:
        """Refuse a staging that is kept and does not respond: it is slow or paused, and not gone.

        Raises:
            ResilienceError: there is one; nothing was touched.
        """
        state = staging_state.read(self.settings)
        if state is None or not state.kept:
            return
        alive = [
            container
            for service in (SERVER, FORWARDER)
            for container in self._containers(service)
            if container.status in ("running", "paused", "restarting")
        ]
        if alive:
            raise ResilienceError(
                _(
                    "the staging that is kept does not respond: %(containers)s",
                    containers=", ".join(f"{one.name} ({one.status})" for one in alive),
                ),
                option="compose.file",
                value=self.compose_settings.file,
                remedy=_(
                    "let it go on (docker unpause) and try again, or remove it with"
                    " cleanup-staging; nothing was touched"
                ),
            )

    def _await_compose(self) -> None:
        """Wait for the compose command of a killed drill: it would make again what is removed."""
        psutil = load_psutil()
        deadline = time.monotonic() + LEFT_SECONDS
        while time.monotonic() < deadline:
            running = [
                one
                for one in psutil.process_iter(["cmdline"])
                if self.compose_settings.file in (one.info["cmdline"] or ())
                and "-f" in one.info["cmdline"]
            ]
            if not running:
                return
            time.sleep(0.2)

    def _expires(self) -> str:
        """Return until when the running server may stay: its backend gets the same label."""
        for container in self._containers(SERVER):
            return str(container.labels.get(EXPIRES) or FOREVER)
        return FOREVER

    def _refuse_other_owners(self) -> None:
        """Refuse names that another owner's resources have: compose goes by names.

        It would use a volume of staging's name with the data in it, and replace the containers of a
        project of the same name.

        Raises:
            ResilienceError: there is one; nothing was touched.
        """
        name = self.compose_settings.volume
        volume = self.docker.volume(name)
        if volume is not None and not self._is_own(volume.attrs.get("Labels")):
            raise ResilienceError(
                _("a volume of staging's name exists, and this staging did not make it"),
                option="compose.volume",
                value=name,
                remedy=_("name another volume, or remove that one; nothing was touched"),
            )
        project = project_name(self.compose_settings.file)
        labels = [f"{PROJECT}={project}"]
        others = [
            *(one for one in self.docker.containers(labels) if not self._is_own(one.labels)),
            *(one for one in self.docker.networks(labels) if not self._is_own(_labels(one))),
        ]
        if others:
            raise ResilienceError(
                _(
                    "the compose project %(project)s exists, and this staging did not make"
                    " %(names)s",
                    project=project,
                    names=", ".join(one.name for one in others),
                ),
                option="compose.project",
                value=project,
                remedy=_("give staging's project another name; nothing was touched"),
            )

    def _is_own(self, labels: Any) -> bool:
        return bool((labels or {}).get(LABEL) == self.settings.work_dir)

    def _refuse_ways_out(self, service: str) -> None:
        """Refuse a service that is in a network which is not internal."""
        for container in self._containers(service):
            networks = container_networks.inspect(self.docker, container).networks
            if not networks or not all(network.internal for network in networks):
                raise ResilienceError(
                    _(
                        "%(container)s could reach the world outside: %(networks)s",
                        container=container.name,
                        networks=", ".join(network.name for network in networks) or "-",
                    ),
                    option="compose.file",
                    value=self.compose_settings.file,
                    remedy=_("put it in internal networks only, as the role writes the file"),
                )

    def _remove_expired(self) -> None:
        """Remove what other stagings of this Docker engine left behind after their time."""
        found = [*self.docker.containers([LABEL]), *self.docker.volumes([LABEL])]
        expired = {
            (labels.get(LABEL, ""), labels[EXPIRES])
            for labels in map(_labels, found)
            if str(labels.get(EXPIRES, "")).isdigit() and int(labels[EXPIRES]) < time.time()
        }
        for owner, expires in sorted(expired):
            if owner:
                self._remove([f"{LABEL}={owner}", f"{EXPIRES}={expires}"])

    def _remove(self, labels: list[str]) -> tuple[list[str], list[str]]:
        """Remove what carries these labels: the data first, so that it goes whatever else stays.

        Returns:
            What was removed, and what could not be and why.
        """
        removed, left = [], []
        for kind, list_resources in (
            ("container", self.docker.containers),
            ("volume", self.docker.volumes),
            ("network", self.docker.networks),
        ):
            for resource in list_resources(labels):
                try:
                    self.docker.remove(kind, resource)
                except ResilienceError as error:
                    left.append(f"{kind} {resource.name}: {error.problem}")
                else:
                    removed.append(f"{kind} {resource.name}")
        return removed, left


def project_name(file: str) -> str:
    """Return the name that compose gives the project of a file.

    It is `COMPOSE_PROJECT_NAME` of the file `.env` beside it, which the role writes; else the
    folder's name as compose simplifies it.
    """
    folder = os.path.dirname(os.path.abspath(file))
    with contextlib.suppress(OSError), open(os.path.join(folder, ".env"), encoding="utf-8") as held:
        for line in held:
            name, _equals, value = line.strip().partition("=")
            if name == "COMPOSE_PROJECT_NAME" and value:
                return value.strip("\"'")
    return re.sub(r"^[_-]+|[^a-z0-9_-]", "", os.path.basename(folder).lower())


def _labels(resource: Any) -> dict[str, str]:
    """Return the labels of a container, a network or a volume."""
    held = getattr(resource, "labels", None)
    return dict(held if held is not None else resource.attrs.get("Labels") or {})


def _refusal(server: Server) -> str | None:
    """Return why the server cannot be connected to; None if it can."""
    parameters = {**server.dsn("postgres"), "connect_timeout": 5}
    try:
        open_connection(parameters).close()
    except driver().OperationalError as error:
        return str(error).strip() or "no answer"
    return None


def engine(settings: StagingSettings) -> ComposeEngine:
    """Return this engine."""
    return ComposeEngine(settings)
