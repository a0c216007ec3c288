# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check that nothing left staging: by its networks, or by the connections that were seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _, join, ngettext

CHECK = "isolation"
# A container's own loopback, as its name server: nobody listens there.
NOBODY = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Network:
    """A Docker network of a container.

    Attributes:
        name: its name.
        internal: whether Docker gives it no way out.
        host_has_address: whether the machine of the engine has an address in it.
    """

    name: str
    internal: bool
    host_has_address: bool


@dataclasses.dataclass(frozen=True)
class ContainerNetworks:
    """What leads out of a container.

    Attributes:
        name: the container's.
        networks: all that it is in.
        routes: each route of its own that leads out, as `device` or `device via gateway`; None
            where its routing table cannot be read from here.
        name_servers: what Docker's own name server passes queries on to; empty for those of its
            host.
    """

    name: str
    networks: Sequence[Network]
    routes: Sequence[str] | None
    name_servers: Sequence[str] = (NOBODY,)


@dataclasses.dataclass(frozen=True)
class SandboxNetwork:
    """What the processes of a sandbox can reach.

    Attributes:
        name: of what runs there.
        running: whether there is any process.
        open: whether one of them is in this host's own network.
        routes: devices beside loopback that they have a route by.
        unread: why some could not be read; empty if all were.
    """

    name: str
    running: bool
    open: bool
    routes: Sequence[str] = ()
    unread: str = ""


@dataclasses.dataclass(frozen=True)
class Connection:
    """A connection that was seen.

    Attributes:
        program: what held it, with its process number.
        address: of the other end.
        port: of the other end.
        production: whether the other end is production's database.
    """

    program: str
    address: str
    port: int
    production: bool = False


def judge_networks(containers: Sequence[ContainerNetworks], variables: Iterable[str]) -> Evidence:
    """Return the result where containers are in networks of their own: a proof by structure.

    Args:
        containers: the server and the application.
        variables: names of what is set for the application.
    """
    findings = [
        Finding("isolation.way_out", container.name, text)
        for container in containers
        for text in _ways_out(container)
    ]
    names = sorted({network.name for one in containers for network in one.networks})
    networks = _(
        "%(containers)s: in the networks %(networks)s",
        containers=", ".join(container.name for container in containers),
        networks=", ".join(names) or "-",
    )
    closed = "" if findings else _("these are internal, and this host has no address in them")
    unread = [container.name for container in containers if container.routes is None]
    routes: str = ""
    if unread:
        routes = _(
            "not checked, because this host may not read their processes: the routes of"
            " %(containers)s",
            containers=", ".join(unread),
        )
    elif not findings:
        routes = _("their routes lead nowhere else")
    return Evidence(join([networks, closed, routes, _variables(variables)], "; "), findings)


def _ways_out(container: ContainerNetworks) -> list[Message]:
    texts = []
    if not container.networks:
        texts.append(_("%(container)s is in no network", container=container.name))
    for network in container.networks:
        values = {"container": container.name, "network": network.name}
        if not network.internal:
            texts.append(_("%(container)s is in %(network)s, which is not internal", **values))
        elif network.host_has_address:
            texts.append(_("%(container)s reaches this host, which is in %(network)s", **values))
    outside = [one for one in container.name_servers if one != NOBODY]
    if outside or not container.name_servers:
        texts.append(
            _(
                "names that %(container)s looks up go to a name server outside: %(servers)s",
                container=container.name,
                servers=", ".join(outside) or _("the one of this host"),
            )
        )
    for route in container.routes or ():
        texts.append(
            _("%(container)s has a route out: %(route)s", container=container.name, route=route)
        )
    return texts


def judge_sandboxes(sandboxes: Sequence[SandboxNetwork], variables: Iterable[str]) -> Evidence:
    """Return the result where server and application run in sandboxes: a proof by structure.

    Args:
        sandboxes: of the server, and of the application if there is one.
        variables: names of what is set for the application.
    """
    findings = []
    for one in sandboxes:
        if one.open:
            text = _("%(name)s is in this host's own network", name=one.name)
            findings.append(Finding("isolation.way_out", one.name, text))
        findings += [
            Finding(
                "isolation.way_out",
                one.name,
                _("%(container)s has a route out: %(route)s", container=one.name, route=route),
            )
            for route in one.routes
        ]
    unread = [one.unread for one in sandboxes if one.unread]
    gone = [one.name for one in sandboxes if not one.running and not one.unread]
    if not findings and (unread or gone):
        why = unread[0] if unread else _("%(names)s does not run", names=join(gone, ", "))
        text = _("the sandbox could not be looked into: %(why)s", why=why)
        return Evidence(join([text, _variables(variables)], "; "), skipped=True)
    text = _(
        "%(names)s: each in a sandbox with a network of its own",
        names=join([one.name for one in sandboxes], ", "),
    )
    closed = "" if findings else _("which has loopback alone and no route")
    return Evidence(join([text, closed, _variables(variables)], "; "), findings)


def judge_connections(
    looks: int,
    seconds: float,
    seen: Sequence[Connection],
    variables: Iterable[str],
    unread: str = "",
) -> Evidence:
    """Return the result where staging's processes are this host's own: what was seen of them.

    Args:
        looks: how often their connections were read.
        seconds: over what time.
        seen: connections to beyond.
        variables: names of what is set for the application.
        unread: why they could not be read, if they could not.
    """
    findings = []
    for one in seen:
        values = {"program": one.program, "address": one.address, "port": one.port}
        text = (
            _("%(program)s was connected to production: %(address)s, port %(port)d", **values)
            if one.production
            else _("%(program)s was connected to %(address)s, port %(port)d", **values)
        )
        findings.append(Finding("isolation.connection", f"{one.address}:{one.port}", text))
    if not findings and (unread or not looks):
        why = unread or _("none of its processes was found")
        text = _("its connections could not be read: %(why)s", why=why)
        return Evidence(join([text, _variables(variables)], "; "), skipped=True)
    looked = ngettext(
        "its connections were read %(count)d time in %(seconds)s s",
        "its connections were read %(count)d times in %(seconds)s s",
        looks,
        seconds=f"{seconds:.1f}",
    )
    none = "" if findings else _("none led beyond this host and the staging server")
    weaker = _("this is weaker than a closed network: short connections are not seen")
    return Evidence(join([looked, none, weaker, _variables(variables)], "; "), findings)


def _variables(names: Iterable[str]) -> Message:
    listed = ", ".join(sorted(names))
    if not listed:
        return _("no variable is set for the application, so none switches anything off")
    return _("variables set for the application: %(names)s", names=listed)
