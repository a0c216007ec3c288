# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Docker what runs: services of a Swarm, single containers, compose projects; and their logs.

Only reads, except that `execute` runs a program in a container.
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import functools
import importlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..common.errors import ResilienceError
from ..common.safe_text import error_line

KINDS = ("swarm", "container", "compose")
# Labels that Docker's own tools put on what they make.
SERVICE_LABEL = "com.docker.swarm.service.name"
PROJECT_LABEL = "com.docker.compose.project"
PART_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
# A log is read to this size at most; a backend that writes more in minutes is read in part, and
# what is left out is said.
LARGEST_LOG = 8 << 20
Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class ServiceSelector:
    """Something in Docker that must run.

    Attributes:
        kind: `swarm`, `container` or `compose`.
        name: its name, with `*` and `?` for any; of a compose project, `project` or
            `project/service`.
    """

    kind: str
    name: str

    @classmethod
    def of(cls, value: Any, option: str) -> ServiceSelector:
        """From what was configured: a name (of a Swarm service), or `{"kind", "name"}`.

        Raises:
            ResilienceError: it is neither.
        """
        if isinstance(value, str):
            value = {"kind": "swarm", "name": value}
        if (
            not isinstance(value, dict)
            or set(value) != {"kind", "name"}
            or value["kind"] not in KINDS
            or not isinstance(value["name"], str)
            or not value["name"]
        ):
            raise ResilienceError(
                "something that must run in Docker is not well described",
                option=option,
                value=value,
                remedy=f"give a service's name, or kind ({', '.join(KINDS)}) and name",
            )
        return cls(value["kind"], value["name"])

    def __str__(self) -> str:
        return self.name if self.kind == "swarm" else f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class ServiceState:
    """How something in Docker is.

    Attributes:
        name: what it is called there.
        running: how many of it run.
        wanted: how many should.
        problems: what is wrong beside that, such as a task that failed.
    """

    name: str
    running: int
    wanted: int
    problems: tuple[str, ...] = ()


class Docker:
    """A Docker engine, asked through its SDK (`docker` of PyPI, `python3-docker` of Debian).

    Args:
        url: where it listens, such as `unix:///var/run/docker.sock`; None for what the environment
            says, as the `docker` command takes it.
        time_limit: seconds for one answer.

    Raises:
        ResilienceError: the SDK is missing, or the engine does not answer.
    """

    def __init__(self, url: str | None, time_limit: float) -> None:
        self.time_limit = time_limit
        try:
            docker = importlib.import_module("docker")
        except ImportError as error:
            raise ResilienceError(
                f"the docker SDK is missing: {error}",
                remedy="install python3-docker (Debian), or docker (PyPI)",
            ) from error
        try:
            if url:
                self.client = docker.DockerClient(base_url=url, timeout=time_limit)
            else:
                self.client = docker.from_env(timeout=time_limit)
            self.client.ping()
        except Exception as error:  # the SDK lets errors of three libraries through
            raise ResilienceError(
                f"Docker does not answer: {error_line(error)}",
                option="docker_url",
                value=url or "",
                remedy="start it, or give its address",
            ) from error

    def close(self) -> None:
        """Ends the connection."""
        self.client.close()

    def states(self, wanted: ServiceSelector, since: float) -> list[ServiceState]:
        """How everything of that name is; nothing if there is nothing.

        Args:
            wanted: what to look for.
            since: Unix time from which a failed task counts as a problem.
        """

        def ask() -> list[ServiceState]:
            if wanted.kind == "swarm":
                return [self._service(one, since) for one in self._services(wanted.name)]
            return [_container(one) for one in self._containers(wanted, stopped=True)]

        return self._in_time(ask)

    def log(self, wanted: ServiceSelector, since: float) -> tuple[list[str], bool]:
        """What everything of that name wrote since then.

        Returns:
            Lines, and whether it was more than was read.

        Raises:
            ResilienceError: there is nothing of that name.
        """
        sources = self._in_time(functools.partial(self._sources, wanted))
        if not sources:
            raise ResilienceError("nothing in Docker has that name", value=str(wanted))
        lines: list[str] = []
        cut = False
        for source, of_service in sources:
            text, longer = self._in_time(functools.partial(self._read, source, of_service, since))
            lines += _later(text, since)
            cut = cut or longer
        return lines, cut

    def execute(self, wanted: ServiceSelector, command: Sequence[str]) -> tuple[int, str]:
        """Runs a program in the first running container of that name.

        Returns:
            Its exit code and what it wrote.

        Raises:
            ResilienceError: no such container runs on this node.
        """
        containers = self._containers(wanted, stopped=False)
        if not containers:
            raise ResilienceError("no container of that name runs here", value=str(wanted))
        ended = self._in_time(functools.partial(containers[0].exec_run, list(command)))
        return int(ended.exit_code), bytes(ended.output or b"").decode("utf-8", "backslashreplace")

    def _in_time(self, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives.

        The SDK takes its own time limit off a stream, such as logs and what a program writes.
        Docker may neither fill nor end one: seen of a service's log (20.10) under load.

        Raises:
            ResilienceError: it takes longer than one answer may.
        """
        answers: list[Answer] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                answers.append(ask())
            except BaseException as error:  # raised again by who waits
                errors.append(error)

        # Nothing ends a thread that waits for a socket; the program's own end does not wait for it.
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(self.time_limit)
        if errors:
            raise errors[0]
        if not answers:
            raise ResilienceError(
                "Docker did not come to an end with its answer",
                option="time_limit",
                value=self.time_limit,
                remedy="ask again, or give it more time",
            )
        return answers[0]

    def _services(self, name: str) -> list[Any]:
        found = [one for one in self.client.services.list() if fnmatch.fnmatch(one.name, name)]
        return sorted(found, key=lambda one: str(one.name))

    def _containers(self, wanted: ServiceSelector, *, stopped: bool) -> list[Any]:
        listed = self.client.containers.list(all=stopped)
        if wanted.kind == "swarm":
            found = [one for one in listed if _labelled(one, SERVICE_LABEL, wanted.name)]
        elif wanted.kind == "compose":
            project, _slash, part = wanted.name.partition("/")
            found = [
                one
                for one in listed
                if _labelled(one, PROJECT_LABEL, project)
                and _labelled(one, PART_LABEL, part or "*")
                # What `docker compose run` left is no part of the running project.
                and not _labelled(one, ONE_OFF_LABEL, "[Tt]rue")
            ]
        else:
            found = [one for one in listed if fnmatch.fnmatch(one.name, wanted.name)]
        return sorted(found, key=lambda one: str(one.name))

    def _service(self, service: Any, since: float) -> ServiceState:
        tasks = service.tasks()
        meant = [task for task in tasks if task.get("DesiredState") == "running"]
        running = [task for task in meant if task["Status"].get("State") == "running"]
        mode = service.attrs["Spec"]["Mode"]
        wanted = mode.get("Replicated", {}).get("Replicas", len(meant))
        problems = [
            f"a task {task['Status']['State']}: {task['Status'].get('Err') or 'no reason given'}"
            for task in tasks
            if task["Status"].get("State") in ("failed", "rejected")
            and _unix(task["Status"]["Timestamp"]) >= since
        ]
        update = service.attrs.get("UpdateStatus", {}).get("State", "")
        if "paused" in update:
            problems.append(f"its update is {update}")
        if not wanted:
            problems.append("it is scaled to nothing")
        return ServiceState(service.name, len(running), wanted, tuple(problems))

    def _sources(self, wanted: ServiceSelector) -> list[tuple[Any, bool]]:
        """What has a log to read, each with whether it is a service.

        A service all of whose tasks are on this node is read from their containers: the Swarm's own
        way to a service's log goes through its managers, and does not always come to an end.
        """
        if wanted.kind != "swarm":
            return [(one, False) for one in self._containers(wanted, stopped=True)]
        node = self.client.info().get("Swarm", {}).get("NodeID")
        found: list[tuple[Any, bool]] = []
        for service in self._services(wanted.name):
            elsewhere = [one for one in service.tasks() if one.get("NodeID", node) != node]
            here = self._containers(ServiceSelector("swarm", service.name), stopped=True)
            if elsewhere or not here:
                found.append((service, True))
            else:
                found += [(one, False) for one in here]
        return found

    def _read(self, source: Any, of_service: bool, since: float) -> tuple[str, bool]:
        # Docker compares whole seconds; the lines' own times tell the rest.
        options: dict[str, Any] = {
            **{"stdout": True, "stderr": True, "timestamps": True},
            "since": int(since),
        }
        if of_service:
            parts = source.logs(**options)
        else:
            parts = source.logs(**options, stream=True, follow=False)
        held = bytearray()
        for part in parts:
            held += part
            if len(held) > LARGEST_LOG:
                break
        text = bytes(held[:LARGEST_LOG]).decode("utf-8", "backslashreplace")
        return text, len(held) > LARGEST_LOG


def _container(container: Any) -> ServiceState:
    state = container.attrs["State"]
    problems = []
    health = (state.get("Health") or {}).get("Status", "")
    if health not in ("", "healthy", "none"):
        problems.append(f"its health check says {health}")
    if state["Status"] != "running":
        problems.append(f"it is {state['Status']}")
    return ServiceState(container.name, int(state["Status"] == "running"), 1, tuple(problems))


def _labelled(container: Any, label: str, value: str) -> bool:
    held = container.labels.get(label)
    return held is not None and fnmatch.fnmatch(held, value)


def _later(text: str, since: float) -> list[str]:
    """The lines from that moment on, without the time that Docker put before each."""
    found = []
    for line in text.splitlines():
        moment, _space, rest = line.partition(" ")
        try:
            written = _unix(moment)
        except ValueError:
            # Rather one line too many than an error that nobody sees.
            written, rest = since, line
        if written >= since:
            found.append(rest)
    return found


def _unix(moment: str) -> float:
    """Docker's time (RFC 3339, UTC, up to nanoseconds) as Unix time.

    Raises:
        ValueError: it is no time.
    """
    whole, _dot, fraction = moment.rstrip("Z").partition(".")
    plain = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return plain.replace(tzinfo=datetime.UTC).timestamp() + float(f"0.{fraction or 0}")
