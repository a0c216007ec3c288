# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads out of a container: its networks from Docker, its routes from the kernel."""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Union

from .docker_engine import DockerEngine
from .isolation import ContainerNetworks, Network

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Subnet = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
# Of a route (linux/route.h): it is up; it goes through a gateway; it refuses.
UP, GATEWAY, REJECT = 0x1, 0x2, 0x200
# A bridge on which this host has no address: the older option, and the name in newer engines.
NO_HOST = {
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.gateway_mode_ipv4": "isolated",
}


def inspect(docker: DockerEngine, container: Any) -> ContainerNetworks:
    """Return the networks and routes of a container at this moment.

    Args:
        docker: its engine.
        container: as the SDK gave it.

    Raises:
        ResilienceError: Docker cannot be reached or refuses.
    """
    with docker.errors("container inspect"):
        container.reload()
    joined = container.attrs["NetworkSettings"]["Networks"] or {}
    networks = [_network(docker, name) for name in sorted(joined)]
    closed = [
        subnet
        for network in networks
        if network.internal and not network.holds_host
        for subnet in _subnets(joined[network.name])
    ]
    name_servers = tuple(container.attrs["HostConfig"].get("Dns") or ())
    routes = _routes(str(container.id), closed)
    return ContainerNetworks(str(container.name), networks, routes, name_servers)


def variable_names(docker: DockerEngine, container: Any) -> list[str]:
    """Return the names of a container's environment beyond its image's own; never a value.

    Raises:
        ResilienceError: Docker cannot be reached or refuses.
    """
    with docker.errors("image inspect"):
        own = set(container.image.attrs["Config"].get("Env") or ())
    return sorted(
        entry.partition("=")[0]
        for entry in container.attrs["Config"]["Env"] or ()
        if entry not in own
    )


def _network(docker: DockerEngine, name: str) -> Network:
    found = docker.inspect_network(name)
    options = found.get("Options") or {}
    without_host = any(options.get(option) == value for option, value in NO_HOST.items())
    return Network(name, bool(found["Internal"]), not without_host)


def _subnets(joined: Mapping[str, Any]) -> list[Subnet]:
    """Return the address ranges of a network that a container has an end in."""
    ends = (
        (joined.get("IPAddress"), joined.get("IPPrefixLen")),
        (joined.get("GlobalIPv6Address"), joined.get("GlobalIPv6PrefixLen")),
    )
    return [
        ipaddress.ip_network(f"{address}/{length}", strict=False)
        for address, length in ends
        if address
    ]


def _routes(container_id: str, closed: Sequence[Subnet]) -> list[str] | None:
    """Return the routes out of a container; None where this host cannot read any process of it.

    Docker may give a container of an internal network a gateway all the same (seen with 20.10), at
    an address that it keeps free: such a route ends in that network.
    """
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if not _is_within(name, container_id):
                continue
            with open(f"/proc/{name}/net/route", encoding="ascii") as file:
                found = [_way_out(line.split(), closed) for line in file.readlines()[1:]]
            with open(f"/proc/{name}/net/ipv6_route", encoding="ascii") as file:
                found += [_way_out_6(line.split(), closed) for line in file]
        except OSError:
            continue
        return [route for route in found if route]
    return None


def _is_within(pid: str, container_id: str) -> bool:
    """Return whether a process is a container's: only there its file of the host's name is mounted.

    The number that Docker gives for a process is one of the engine's machine, or of its namespace.
    """
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        mounts = [line.split() for line in file]
    # proc(5): the mounted path within its filesystem, and where it is mounted.
    return any(fields[4] == "/etc/hostname" and container_id in fields[3] for fields in mounts)


def _way_out(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """Return what a line of `/proc/net/route` leads out by; empty if it stays in a network."""
    device, flags, mask = fields[0], int(fields[3], 16), int(fields[7], 16)
    gateway = ipaddress.ip_address(struct.pack("=I", int(fields[2], 16)))
    return _leads_out(device, gateway, flags, everywhere=mask == 0, closed=closed)


def _way_out_6(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """Return the same of a line of `/proc/net/ipv6_route`."""
    device, flags, length = fields[9], int(fields[8], 16), int(fields[1], 16)
    if device == "lo":
        return ""
    gateway = ipaddress.ip_address(bytes.fromhex(fields[4]))
    return _leads_out(device, gateway, flags, everywhere=length == 0, closed=closed)


def _leads_out(
    device: str, gateway: Address, flags: int, *, everywhere: bool, closed: Sequence[Subnet]
) -> str:
    if not flags & UP or flags & REJECT:
        return ""
    if flags & GATEWAY or int(gateway):
        ends = any(gateway in subnet for subnet in closed)
        return "" if ends else f"{device} via {gateway}"
    return device if everywhere else ""
