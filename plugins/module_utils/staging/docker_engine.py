# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker engine through its SDK: one connection, its errors with a remedy, resources by label."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.safe_text import error_line
from ..common.system_errors import system_message
from . import docker_causes

SYSTEM_SOCKET = "unix:///var/run/docker.sock"
# Cron gives its jobs a PATH without the administrator's folders.
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 60.0
LOG_LINES = 20
Result = TypeVar("Result")


class DockerEngine:
    """A Docker engine; the connection is made when it is first needed.

    Args:
        url: where it listens, as `DOCKER_HOST` has it, such as `SYSTEM_SOCKET`; None for what the
            environment says, as the `docker` command takes it.
        time_limit: seconds for one request.
        option: the option that names the engine, for messages.
    """

    def __init__(
        self, url: str | None = None, time_limit: float = SECONDS, option: str = "docker_url"
    ) -> None:
        self.url, self.time_limit, self.option = url, time_limit, option
        self._client: Any = None

    @staticmethod
    def installed() -> bool:
        """Return whether this host has the command `docker` at all."""
        return shutil.which("docker", path=PROGRAM_PATH) is not None

    @property
    def client(self) -> Any:
        """Return the SDK's client (`docker.DockerClient`), connected.

        Raises:
            ResilienceError: the SDK is missing, or the engine does not answer.
        """
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> Any:
        try:
            sdk = importlib.import_module("docker")
        except ImportError as error:
            raise ResilienceError(
                _("the docker SDK is missing: %(why)s", why=str(error)),
                remedy=_("install python3-docker (Debian), or the Python package docker (PyPI)"),
            ) from error
        # The SDK's own default is one fixed version, which newer engines refuse.
        options: dict[str, Any] = {"timeout": self.time_limit, "version": "auto"}
        try:
            if self.url is None:
                client = sdk.from_env(**options)
            else:
                over_ssh = {"use_ssh_client": True} if self.url.startswith("ssh://") else {}
                client = sdk.DockerClient(base_url=self.url, **options, **over_ssh)
            client.ping()
        except Exception as error:  # the SDK lets errors of three libraries through
            raise ResilienceError(
                _(
                    "the Docker engine does not answer: %(why)s",
                    why=system_message(error_line(error)),
                ),
                option=self.option,
                value=self.url or "",
                remedy=_("start it, or give its address"),
            ) from error
        return client

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def ping(self) -> None:
        """Make sure that the engine answers.

        Raises:
            ResilienceError: it does not.
        """
        with self.errors("ping"):
            self.client.ping()

    @contextlib.contextmanager
    def errors(self, action: str) -> Iterator[None]:
        """Turn the SDK's errors into ones with a remedy.

        Args:
            action: what is requested, as `docker` names it: `container rm`.

        Raises:
            ResilienceError: the engine refused, failed or did not answer in time.
        """
        client = self.client
        try:
            yield
        except ResilienceError:
            raise
        except _sdk_errors(client) as error:
            raise ResilienceError(
                _(
                    "docker %(action)s failed: %(why)s",
                    action=action,
                    why=system_message(error_line(error)),
                ),
                option=self.option,
                value=self.url or "",
                remedy=docker_causes.remedy(str(error)),
            ) from error

    def containers(self, labels: Sequence[str], *, stopped: bool = True) -> list[Any]:
        """Return the containers with these labels, by name.

        Args:
            labels: each a name, or `name=value`.
            stopped: whether those that do not run count.
        """
        with self.errors("container ls"):
            found = self.client.containers.list(
                all=stopped, filters={"label": list(labels)}, ignore_removed=True
            )
        return sorted(found, key=lambda one: str(one.name))

    def networks(self, labels: Sequence[str]) -> list[Any]:
        """Return the networks with these labels, by name."""
        with self.errors("network ls"):
            found = self.client.networks.list(filters={"label": list(labels)})
        return sorted(found, key=lambda one: str(one.name))

    def volumes(self, labels: Sequence[str]) -> list[Any]:
        """Return the volumes with these labels, by name."""
        with self.errors("volume ls"):
            found = self.client.volumes.list(filters={"label": list(labels)})
        return sorted(found, key=lambda one: str(one.name))

    def images(self, labels: Sequence[str]) -> list[Any]:
        """Return the images with these labels."""
        with self.errors("image ls"):
            return list(self.client.images.list(filters={"label": list(labels)}))

    def volume(self, name: str) -> Any | None:
        """Return the volume of a name; None if there is none."""
        with self.errors("volume ls"):
            # Docker's filter looks for a part of the name.
            found = self.client.volumes.list(filters={"name": name})
        return next((one for one in found if one.name == name), None)

    def inspect_network(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a network."""
        with self.errors("network inspect"):
            return dict(self.client.networks.get(name).attrs)

    def log_tail(self, container: Any) -> str:
        """Return the last lines that a container wrote, to standard output and error."""
        with self.errors("container logs"):
            held = self.within(lambda: container.logs(stdout=True, stderr=True, tail=LOG_LINES))
        return bytes(held).decode("utf-8", "backslashreplace")

    def remove(self, kind: str, resource: Any) -> None:
        """Remove a container with its anonymous volumes, a network or a volume, and wait for it.

        What is gone already, or is being removed by another command, is waited for.

        Args:
            kind: `container`, `network` or `volume`.
            resource: as the SDK gave it.

        Raises:
            ResilienceError: the engine refuses, as for a network with a container in it.
        """
        options = {"container": {"force": True, "v": True}, "volume": {"force": True}}
        deadline = time.monotonic() + self.time_limit
        with self.errors(f"{kind} rm"):
            while True:
                try:
                    resource.remove(**options.get(kind, {}))
                    return
                except _sdk_errors(self.client) as error:
                    if _status(error) == 404:
                        return
                    in_progress = _status(error) == 409 and "in progress" in str(error)
                    if not in_progress or time.monotonic() > deadline:
                        raise
                time.sleep(0.1)

    def within(self, request: Callable[[], Result], seconds: float | None = None) -> Result:
        """Return what a request gives, in a limited time.

        The SDK has no time limit for a stream, such as logs and what a program writes. Docker may
        neither fill nor end one: seen of a service's log (20.10) under load.

        Args:
            request: what is called, in a thread of its own.
            seconds: the limit; the engine's own if left out.

        Raises:
            ResilienceError: it takes longer.
        """
        results: list[Result] = []
        errors: list[BaseException] = []
        limit = seconds or self.time_limit

        def work() -> None:
            try:
                results.append(request())
            except BaseException as error:  # raised again by who waits
                errors.append(error)

        # Nothing ends a thread that waits for a socket; the program's own end does not wait for it.
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(limit)
        if errors:
            raise errors[0]
        if not results:
            raise ResilienceError(
                _("Docker's response did not come to an end"),
                option="time_limit",
                value=limit,
                remedy=_("try again, or allow more time"),
            )
        return results[0]


def _sdk_errors(_connected: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions of the SDK and of the libraries below it.

    Args:
        _connected: a client, so that the SDK is known to be there.
    """
    # Errors of `requests`, and of sockets, are OSErrors.
    docker = importlib.import_module("docker.errors").DockerException
    return (docker, importlib.import_module("urllib3.exceptions").HTTPError, OSError)


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error that the engine gave; None of any other."""
    response = getattr(error, "response", None)
    status: int | None = getattr(response, "status_code", None)
    return status
