# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Docker, and the kernel where it is this one, what leads out of a container."""

from __future__ import annotations

import ipaddress
import json
import os
import struct
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .docker_cli import Docker
from .isolation import Network, Standing

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnet: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
# Of a route (linux/route.h): it is up; it goes through a gateway; it refuses.
UP, GATEWAY, REJECT = 0x1, 0x2, 0x200
# A bridge that this host has no address on: the older option, and what newer engines call it.
NO_HOST = {
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.gateway_mode_ipv4": "isolated",
}


def standing(docker: Docker, number: str) -> Standing:
    """Where a container stands at this moment.

    Args:
        docker: its engine.
        number: its full identifier.

    Raises:
        ResilienceError: Docker does not tell.
    """
    found = _inspected(docker, "container", number)
    joined = found["NetworkSettings"]["Networks"] or {}
    networks = [_network(docker, name) for name in sorted(joined)]
    closed = [
        subnet
        for network in networks
        if network.internal and not network.holds_host
        for subnet in _subnets(joined[network.name])
    ]
    return Standing(str(found["Name"]).lstrip("/"), networks, _routes(number, closed))


def variables(docker: Docker, number: str) -> list[str]:
    """Names of what is set in a container's environment beyond its image's own; never a value.

    Raises:
        ResilienceError: Docker does not tell.
    """
    found = _inspected(docker, "container", number)
    image = _inspected(docker, "image", str(found["Image"]))
    own = set(image["Config"].get("Env") or ())
    return sorted(
        entry.partition("=")[0] for entry in found["Config"]["Env"] or () if entry not in own
    )


def _inspected(docker: Docker, kind: str, name: str) -> Any:
    return json.loads(docker.run(kind, "inspect", "--format", "{{json .}}", name))


def _network(docker: Docker, name: str) -> Network:
    found = _inspected(docker, "network", name)
    options = found.get("Options") or {}
    without_host = any(options.get(option) == value for option, value in NO_HOST.items())
    return Network(name, bool(found["Internal"]), not without_host)


def _subnets(joined: Mapping[str, Any]) -> list[Subnet]:
    """What a container's end of a network says of that network's addresses."""
    ends = (
        (joined.get("IPAddress"), joined.get("IPPrefixLen")),
        (joined.get("GlobalIPv6Address"), joined.get("GlobalIPv6PrefixLen")),
    )
    return [
        ipaddress.ip_network(f"{address}/{length}", strict=False)
        for address, length in ends
        if address
    ]


def _routes(number: str, closed: Sequence[Subnet]) -> list[str] | None:
    """The routes out of a container; None where no process of it is this host's to read.

    Docker may give a container of an internal network a gateway all the same (seen with 20.10), at
    an address that it keeps free: such a route ends in that network.
    """
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if not _is_within(name, number):
                continue
            with open(f"/proc/{name}/net/route", encoding="ascii") as file:
                found = [_way_out(line.split(), closed) for line in file.readlines()[1:]]
            with open(f"/proc/{name}/net/ipv6_route", encoding="ascii") as file:
                found += [_way_out_6(line.split(), closed) for line in file]
        except OSError:
            continue
        return [route for route in found if route]
    return None


def _is_within(pid: str, number: str) -> bool:
    """Whether a process is a container's: only there its file of the host's name is mounted.

    The number that Docker gives for a process is one of the engine's machine, or of its namespace.
    """
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:
        mounts = [line.split() for line in file]
    # proc(5): the mounted path within its filesystem, and where it is mounted.
    return any(fields[4] == "/etc/hostname" and number in fields[3] for fields in mounts)


def _way_out(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """What a line of `/proc/net/route` leads out by; empty if it stays in a network."""
    device, flags, mask = fields[0], int(fields[3], 16), int(fields[7], 16)
    gateway = ipaddress.ip_address(struct.pack("=I", int(fields[2], 16)))
    return _leads_out(device, gateway, flags, everywhere=mask == 0, closed=closed)


def _way_out_6(fields: Sequence[str], closed: Sequence[Subnet]) -> str:
    """The same of a line of `/proc/net/ipv6_route`."""
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
