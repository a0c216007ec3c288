# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in Docker: services of a Swarm, single containers, compose projects; and their logs.

Only reads, except that `execute` runs a program in a container.
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import functools
from collections.abc import Sequence
from typing import Any

from ..common.errors import ResilienceError
from ..common.messages import _
from .docker_engine import DockerEngine

KINDS = ("swarm", "container", "compose")
# Labels that Docker's own tools put on what they make.
SERVICE_LABEL = "com.docker.swarm.service.name"
PROJECT_LABEL = "com.docker.compose.project"
PART_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
# A log is read to this size at most; a backend that writes more in minutes is read in part, and
# the result says so.
LARGEST_LOG = 8 << 20


@dataclasses.dataclass(frozen=True)
class ServiceSelector:
    """Services or containers in Docker, by their name.

    Attributes:
        kind: `swarm`, `container` or `compose`.
        name: its name, with `*` and `?` for any; of a compose project, `project` or
            `project/service`.
    """

    kind: str
    name: str

    @classmethod
    def of(cls, value: Any, option: str) -> ServiceSelector:
        """Return the selector of a configured value: a Swarm service's name, or `{"kind", "name"}`.

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
                "a service in Docker is not well described",
                option=option,
                value=value,
                remedy=f"give a service's name, or kind ({', '.join(KINDS)}) and name",
            )
        return cls(value["kind"], value["name"])

    def __str__(self) -> str:
        return self.name if self.kind == "swarm" else f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class ServiceState:
    """The state of a service or container.

    Attributes:
        name: its name in Docker.
        running: how many of it run; of a job, how many have completed, or all while it runs.
        expected: how many should.
        problems: what is wrong beside that, such as a task that failed.
    """

    name: str
    running: int
    expected: int
    problems: tuple[str, ...] = ()


class DockerServices:
    """The services and containers of a Docker engine.

    Args:
        engine: the engine; its time limit is that of one request.
    """

    def __init__(self, engine: DockerEngine) -> None:
        self.engine = engine

    def states(self, selector: ServiceSelector, since: float) -> list[ServiceState]:
        """Return the state of everything of that name; nothing if there is nothing.

        Args:
            selector: what to look for.
            since: Unix time from which a failed task counts as a problem.

        Raises:
            ResilienceError: the engine does not answer in time.
        """

        def states() -> list[ServiceState]:
            if selector.kind == "swarm":
                return [service_state(one, since) for one in self._services(selector.name)]
            return [_container_state(one) for one in self._containers(selector, stopped=True)]

        with self.engine.errors("service inspect"):
            return self.engine.within(states)

    def log(self, selector: ServiceSelector, since: float) -> tuple[list[str], bool]:
        """Return what everything of that name wrote since then.

        Returns:
            Lines, and whether there was more than was read.

        Raises:
            ResilienceError: there is nothing of that name, or the engine does not answer in time.
        """
        with self.engine.errors("logs"):
            sources = self.engine.within(functools.partial(self._sources, selector))
            if not sources:
                raise ResilienceError("nothing in Docker has that name", value=str(selector))
            lines: list[str] = []
            cut = False
            for source, is_service in sources:
                read = functools.partial(_read_log, source, is_service, since)
                text, longer = self.engine.within(read)
                lines += _later(text, since)
                cut = cut or longer
        return lines, cut

    def execute(self, selector: ServiceSelector, command: Sequence[str]) -> tuple[int, str]:
        """Run a program in the first running container of that name.

        Returns:
            Its exit code and what it wrote.

        Raises:
            ResilienceError: no such container runs on this node, or the engine does not answer in
                time.
        """
        with self.engine.errors("exec"):
            containers = self._containers(selector, stopped=False)
            if not containers:
                raise ResilienceError("no container of that name runs here", value=str(selector))
            run = functools.partial(containers[0].exec_run, list(command))
            ended = self.engine.within(run)
        return int(ended.exit_code), bytes(ended.output or b"").decode("utf-8", "backslashreplace")

    def _services(self, name: str) -> list[Any]:
        listed = self.engine.client.services.list()
        found = [one for one in listed if fnmatch.fnmatch(one.name, name)]
        return sorted(found, key=lambda one: str(one.name))

    def _containers(self, selector: ServiceSelector, *, stopped: bool) -> list[Any]:
        listed = self.engine.client.containers.list(all=stopped, ignore_removed=True)
        if selector.kind == "swarm":
            found = [one for one in listed if _has_label(one, SERVICE_LABEL, selector.name)]
        elif selector.kind == "compose":
            project, _slash, part = selector.name.partition("/")
            found = [
                one
                for one in listed
                if _has_label(one, PROJECT_LABEL, project)
                and _has_label(one, PART_LABEL, part or "*")
                # What `docker compose run` left is no part of the running project.
                and not _has_label(one, ONE_OFF_LABEL, "[Tt]rue")
            ]
        else:
            found = [one for one in listed if fnmatch.fnmatch(one.name, selector.name)]
        return sorted(found, key=lambda one: str(one.name))

    def _sources(self, selector: ServiceSelector) -> list[tuple[Any, bool]]:
        """Return what has a log to read, each with whether it is a service.

        A service all of whose tasks are on this node is read from their containers: the Swarm's own
        way to a service's log goes through its managers, and does not always come to an end.
        """
        if selector.kind != "swarm":
            return [(one, False) for one in self._containers(selector, stopped=True)]
        node = self.engine.client.info().get("Swarm", {}).get("NodeID")
        found: list[tuple[Any, bool]] = []
        for service in self._services(selector.name):
            elsewhere = [one for one in service.tasks() if one.get("NodeID", node) != node]
            here = self._containers(ServiceSelector("swarm", service.name), stopped=True)
            if elsewhere or not here:
                found.append((service, True))
            else:
                found += [(one, False) for one in here]
        return found


def service_state(service: Any, since: float) -> ServiceState:
    """Return the state of a Swarm service or job.

    Args:
        service: as the SDK gave it.
        since: Unix time from which a failed task counts as a problem.
    """
    tasks = service.tasks()
    mode = service.attrs["Spec"]["Mode"]
    meant = [task for task in tasks if task.get("DesiredState") == "running"]
    running = sum(task["Status"].get("State") == "running" for task in meant)
    job = "ReplicatedJob" in mode or "GlobalJob" in mode
    if job:
        # What earlier runs of the job completed says nothing about this one.
        current = _iteration(service.attrs.get("JobStatus"))
        own = [task for task in tasks if _iteration(task) == current]
        states = [task["Status"].get("State") for task in own]
        # A global job runs once on each node.
        nodes = len({task.get("NodeID") for task in own})
        expected = mode.get("ReplicatedJob", {}).get("TotalCompletions", nodes)
        # A job that is under way has not completed, and is as it should be.
        running = expected if "running" in states else states.count("complete")
    else:
        # A global service has as many tasks as nodes; while it is updated some are on their way.
        expected = mode.get("Replicated", {}).get("Replicas", len(meant))
    problems: list[str] = [
        _(
            "a task %(state)s: %(why)s",
            state=task["Status"]["State"],
            why=task["Status"].get("Err") or _("no reason given"),
        )
        for task in tasks
        if task["Status"].get("State") in ("failed", "rejected")
        and _unix(task["Status"]["Timestamp"]) >= since
    ]
    update = service.attrs.get("UpdateStatus", {}).get("State", "")
    if "paused" in update:
        problems.append(_("its update is %(state)s", state=update))
    if "Replicated" in mode and not expected:
        problems.append(_("it is scaled to nothing"))
    elif "Global" in mode and not meant:
        problems.append(
            _("none of its tasks runs yet: it is being updated")
            if update == "updating"
            else _("no node runs it")
        )
    return ServiceState(service.name, running, expected, tuple(problems))


def _iteration(attributes: Any) -> Any:
    """Return the number of a job's run, of its service's status or of a task."""
    return ((attributes or {}).get("JobIteration") or {}).get("Index")


def _read_log(source: Any, is_service: bool, since: float) -> tuple[str, bool]:
    # Docker compares whole seconds; the times of the lines are exact.
    options: dict[str, Any] = {
        **{"stdout": True, "stderr": True, "timestamps": True},
        "since": int(since),
    }
    if is_service:
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


def _container_state(container: Any) -> ServiceState:
    state = container.attrs["State"]
    problems: list[str] = []
    health = (state.get("Health") or {}).get("Status", "")
    if health not in ("", "healthy", "none"):
        problems.append(_("its health check says %(state)s", state=health))
    if state["Status"] != "running":
        problems.append(_("it is %(state)s", state=state["Status"]))
    return ServiceState(container.name, int(state["Status"] == "running"), 1, tuple(problems))


def _has_label(container: Any, label: str, value: str) -> bool:
    held = container.labels.get(label)
    return held is not None and fnmatch.fnmatch(held, value)


def _later(text: str, since: float) -> list[str]:
    """Return the lines from that moment on, without the time that Docker put before each."""
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
    """Return Docker's time (RFC 3339, UTC, up to nanoseconds) as Unix time.

    Raises:
        ValueError: it is no time.
    """
    whole, _dot, fraction = moment.rstrip("Z").partition(".")
    plain = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    return plain.replace(tzinfo=datetime.timezone.utc).timestamp() + float(f"0.{fraction or 0}")
