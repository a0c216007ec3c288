# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses a staging server that is production's."""

from __future__ import annotations

import ipaddress
import os
import socket

from ..common.errors import ResilienceError
from ..common.messages import _
from .staging import StagingSettings


def refuse_production(
    settings: StagingSettings, host: str, port: int, *, shared: bool = False
) -> None:
    """Refuse a staging server that is, or resolves to, production's.

    A name is resolved: its addresses count. All addresses of this machine are one.

    Args:
        settings: with `production`.
        host, port: of the staging server.
        shared: whether a socket folder may be that of a server of this machine; otherwise it is
            staging's own.

    Raises:
        ResilienceError: they are the same server.
    """
    production = settings.production
    if not production.host or port != production.port:
        return
    if _addresses(host, shared) & _addresses(production.host, True):
        raise ResilienceError(
            _(
                "staging is production: %(staging)s is %(production)s",
                staging=f"{host}:{port}",
                production=f"{production.host}:{production.port}",
            ),
            option="engine",
            value=settings.engine,
            remedy=_("give staging a server of its own; nothing was touched"),
        )


def is_production(settings: StagingSettings, address: str, port: int) -> bool:
    """Return whether an address and a port, of this machine or another, lead to production."""
    try:
        refuse_production(settings, address, port, shared=True)
    except ResilienceError:
        return True
    return False


THIS_MACHINE = "this machine"


def _addresses(host: str, shared: bool) -> set[str]:
    """Return a host's name and addresses, and whether it is this machine."""
    if host.startswith("/"):
        return {os.path.realpath(host)} | ({THIS_MACHINE} if shared else set())
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError:
        return {host.lower()}
    return found | {host.lower()} | ({THIS_MACHINE} if any(map(_is_local, found)) else set())


def _is_local(address: str) -> bool:
    """Return whether an address is one of this machine: only those can be bound to."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True
