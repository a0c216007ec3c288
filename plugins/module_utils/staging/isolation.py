# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges whether anything left staging: by the networks that it stood in, or by what was seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from ..checks.checks import Evidence
from ..checks.findings import Finding
from ..common.messages import Message, _, join, ngettext

CHECK = "isolation"


@dataclasses.dataclass(frozen=True)
class Network:
    """A Docker network that a container stands in.

    Attributes:
        name: its name.
        internal: whether Docker gives it no way out.
        holds_host: whether the machine of the engine has an address in it.
    """

    name: str
    internal: bool
    holds_host: bool


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a container stands.

    Attributes:
        name: its name.
        networks: all that it stands in.
        routes: each route of its own that leads out, as `device` or `device via gateway`; None
            where its table of routes is not to be seen from here.
    """

    name: str
    networks: Sequence[Network]
    routes: Sequence[str] | None


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


def by_networks(standings: Sequence[Standing], variables: Iterable[str]) -> Evidence:
    """The answer where containers stand in networks of their own: a proof by structure.

    Args:
        standings: of the server and the application.
        variables: names of what is set for the application.
    """
    findings = [
        Finding("isolation.way_out", standing.name, text)
        for standing in standings
        for text in _ways_out(standing)
    ]
    names = sorted({network.name for one in standings for network in one.networks})
    stood = _(
        "%(containers)s stand in: %(networks)s",
        containers=", ".join(standing.name for standing in standings),
        networks=", ".join(names) or "-",
    )
    closed = "" if findings else _("that is internal, and this host has no address in it")
    unseen = [standing.name for standing in standings if standing.routes is None]
    routes: str = ""
    if unseen:
        routes = _(
            "not looked at, because their processes are none of this host's that may be read:"
            " the routes of %(containers)s",
            containers=", ".join(unseen),
        )
    elif not findings:
        routes = _("their routes lead nowhere else")
    return Evidence(join([stood, closed, routes, _variables(variables)], "; "), findings)


def _ways_out(standing: Standing) -> list[Message]:
    texts = []
    if not standing.networks:
        texts.append(_("%(container)s stands in no network", container=standing.name))
    for network in standing.networks:
        values = {"container": standing.name, "network": network.name}
        if not network.internal:
            texts.append(_("%(container)s stands in %(network)s, which is not internal", **values))
        elif network.holds_host:
            texts.append(_("%(container)s reaches this host, which is in %(network)s", **values))
    for route in standing.routes or ():
        texts.append(
            _("%(container)s has a route out: %(route)s", container=standing.name, route=route)
        )
    return texts


def by_looking(
    looks: int,
    seconds: float,
    seen: Sequence[Connection],
    variables: Iterable[str],
    unread: str = "",
) -> Evidence:
    """The answer where staging's processes are this host's own: what was seen of them.

    Args:
        looks: how often they were looked at.
        seconds: over what time.
        seen: connections to beyond.
        variables: names of what is set for the application.
        unread: why it could not be looked at, if it could not.
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
        why = unread or _("no process of it was met")
        text = _("its connections could not be looked at: %(why)s", why=why)
        return Evidence(join([text, _variables(variables)], "; "), skipped=True)
    looked = ngettext(
        "its connections were looked at %(count)d time in %(seconds)s s",
        "its connections were looked at %(count)d times in %(seconds)s s",
        looks,
        seconds=f"{seconds:.1f}",
    )
    none = "" if findings else _("none led beyond this host and the staging server")
    weaker = _("this is weaker than a closed network: what is short is not seen")
    return Evidence(join([looked, none, weaker, _variables(variables)], "; "), findings)


def _variables(names: Iterable[str]) -> Message:
    listed = ", ".join(sorted(names))
    if not listed:
        return _("no variable is set for the application, so none switches anything off")
    return _("variables set for the application: %(names)s", names=listed)
