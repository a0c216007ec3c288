# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads out of a sandbox: the network and the routes of its processes, from the kernel."""

from __future__ import annotations

import contextlib
import os

from ..common.libraries import load_psutil
from .isolation import SandboxNetwork


def inspect(name: str, sandbox_pid: int) -> SandboxNetwork:
    """Return what the processes of a sandbox can reach.

    Args:
        name: of what runs there, for people.
        sandbox_pid: the process that made it, which is outside.
    """
    own = os.readlink("/proc/self/ns/net")
    found: set[str] = set()
    routes: set[str] = set()
    unread = ""
    with contextlib.suppress(load_psutil().NoSuchProcess):
        for process in load_psutil().Process(sandbox_pid).children(recursive=True):
            try:
                found.add(os.readlink(f"/proc/{process.pid}/ns/net"))
                routes |= _routes(process.pid)
            except FileNotFoundError:
                continue  # it has ended
            except OSError as error:
                unread = f"{type(error).__name__}: {error}"
    return SandboxNetwork(name, bool(found), own in found, tuple(sorted(routes)), unread)


def _routes(pid: int) -> set[str]:
    """Return the devices, but loopback, by which a process has a route."""
    devices = set()
    with open(f"/proc/{pid}/net/route", encoding="ascii") as file:
        devices |= {line.split()[0] for line in file.readlines()[1:] if line.split()}
    # Where the kernel has no IPv6 there is no such file.
    with (
        contextlib.suppress(FileNotFoundError),
        open(f"/proc/{pid}/net/ipv6_route", encoding="ascii") as file,
    ):
        devices |= {line.split()[9] for line in file if line.split()}
    return devices - {"lo"}
