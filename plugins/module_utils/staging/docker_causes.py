# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What helps against what Docker reports, by the cause."""

from __future__ import annotations

import re

from ..common.messages import Message, _

# Docker's and Compose's words, across their versions; the first one that is found counts.
_CAUSES: tuple[tuple[str, Message], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        _("make room where Docker keeps its data (docker system df), and try again"),
    ),
    (
        r"port is already allocated|address already in use|ports are not available",
        _(
            "another program answers on that port: end it, or name another port in "
            "staging_restore_postgres_port or staging_restore_backend_port"
        ),
    ),
    (
        r"permission denied while trying to connect|dial unix .*permission denied",
        _("run this as root, or as a user who may use Docker"),
    ),
    (
        r"cannot connect to the docker daemon|is the docker daemon running|error while fetching "
        r"server api version|dial unix|connection aborted",
        _(
            "start the Docker engine (systemctl start docker), or name it in "
            "staging_restore_docker_host"
        ),
    ),
    (
        r"unable to prepare context|(?:path|context) \S+ (?:not found|does not exist)|"
        r"lstat \S+: no such file or directory|failed to read dockerfile",
        _(
            "the folder that the application is built from is not there or has no Dockerfile: name "
            "it in staging_restore_backend_build, name an image in "
            "staging_restore_backend_image, or set staging_restore_backend_build to an empty text "
            "for a drill without the application"
        ),
    ),
    (
        r"pull access denied|manifest (?:for \S+ not found|unknown)|no such image|"
        r"failed to (?:resolve|do request|pull)|repository does not exist|toomanyrequests|"
        r"lookup \S+ (?:on|:)|registry[^\n]*(?:timeout|refused|no such host)|image [^\n]*not found",
        _(
            "the image is not on this host and cannot be pulled: load it (docker load), let the "
            "host reach its registry (docker pull), or name another one in "
            "staging_restore_postgres_image, staging_restore_backend_image or "
            "staging_restore_forwarder_image"
        ),
    ),
    (
        r"failed to solve|failed to build|did not complete successfully|returned a non-zero code",
        _(
            "the application cannot be built: look at what docker compose prints above, and build "
            "it by hand in its folder"
        ),
    ),
    (
        r"could not find an available|pool overlaps|non-overlapping",
        _("Docker has no free address range for a network: docker network prune"),
    ),
    (
        r"out of memory|cannot allocate memory|oomkilled",
        _("there is too little memory: give the host more, or lower staging_restore_memory"),
    ),
)
_UNKNOWN = _("look whether the Docker engine runs and has room")


def remedy(reported: str) -> Message:
    """Return what helps against what Docker reported."""
    for pattern, helps in _CAUSES:
        if re.search(pattern, reported, re.IGNORECASE):
            return helps
    return _UNKNOWN
