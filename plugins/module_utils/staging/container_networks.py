# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and routes by which a container reaches others: from Docker, and from the kernel.

A network is closed when it is internal and the host has no address on its bridge: what is sent to
a gateway in it arrives nowhere.
"""

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
# Flags of a route (linux/route.h): it is up; it goes through a gateway; it rejects packets.
UP, GATEWAY, REJECT = 0x1, 0x2, 0x200
# Options of a bridge on which the host has no address: of older engines, and of newer ones.
NO_HOST_ADDRESS = {
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.gateway_mode_ipv4": "isolated",
}


def inspect(docker: DockerEngine, container: Any) -> ContainerNetworks:
    """Return the networks and routes of a container at this moment.

    Args:
        docker: the engine that runs it.
        container: `Container` of the docker SDK.

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
        if network.internal and not network.host_has_address
        for subnet in _subnets(joined[network.name])
    ]
    name_servers = tuple(container.attrs["HostConfig"].get("Dns") or ())
    routes = _routes(str(container.id), closed)
    return ContainerNetworks(str(container.name), networks, routes, name_servers)


def variable_names(docker: DockerEngine, container: Any) -> list[str]:
    """Return the names of the environment variables that its image does not set; never a value.

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
    no_host_address = any(options.get(option) == value for option, value in NO_HOST_ADDRESS.items())
    return Network(name, bool(found["Internal"]), not no_host_address)


def _subnets(joined: Mapping[str, Any]) -> list[Subnet]:
    """Return the subnets of a network, by the container's addresses in it (IPv4, IPv6)."""
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
    an unused address of that network: a route through it leads nowhere.
    """
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if not _is_within(name, container_id):
                continue
            with open(f"/proc/{name}/net/route", encoding="ascii") as file:
                found = [_ipv4_route_out(line.split(), closed) for line in file.readlines()[1:]]
            with open(f"/proc/{name}/net/ipv6_route", encoding="ascii") as file:
                found += [_ipv6_route_out(line.split(), closed) for line in file]
        except OSError:
            continue
        return [route for route in found if route]
    return None


def _is_within(pid: str, container_id: str) -> bool:
    """Return whether a process is in a container: that one's own `/etc/hostname` is mounted there.

    The process ID that Docker reports is no help: it may be one of another PID namespace.
    """
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        mounts = [line.split() for line in file]
    # proc(5): the mounted path within its filesystem, and where it is mounted.
    return any(fields[4] == "/etc/hostname" and container_id in fields[3] for fields in mounts)


def _ipv4_route_out(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """Return the route out in a line of `/proc/net/route`; empty if it does not lead out."""
    device, flags, mask = fields[0], int(fields[3], 16), int(fields[7], 16)
    gateway = ipaddress.ip_address(struct.pack("=I", int(fields[2], 16)))
    return _route_out(device, gateway, flags, default=mask == 0, closed=closed)


def _ipv6_route_out(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """Return the route out in a line of `/proc/net/ipv6_route`; empty if it does not lead out."""
    device, flags, length = fields[9], int(fields[8], 16), int(fields[1], 16)
    if device == "lo":
        return ""
    gateway = ipaddress.ip_address(bytes.fromhex(fields[4]))
    return _route_out(device, gateway, flags, default=length == 0, closed=closed)


def _route_out(
    device: str, gateway: Address, flags: int, *, default: bool, closed: Sequence[Subnet]
) -> str:
    """Return a route as text if it leads out: by a gateway, or as a default route."""
    if not flags & UP or flags & REJECT:
        return ""
    if flags & GATEWAY or int(gateway):
        nowhere = any(gateway in subnet for subnet in closed)
        return "" if nowhere else f"{device} via {gateway}"
    return device if default else ""
