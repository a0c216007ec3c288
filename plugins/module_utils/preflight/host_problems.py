# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what stages need with what a host has; all that is missing, each with its remedy."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..common import separate_call
from ..common.errors import ResilienceError
from ..common.system_errors import reason
from ..database import postgres
from . import packages

# The search path of the host commands; the administrator's folders are not on every user's.
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What else helps than to install a program.
INSTEAD = {
    "crontab": "let no cron line be written: disk_monitor_cron_enabled, offsite_backup_cron_enabled"
    " or staging_restore_cron_enabled set to false",
    "bwrap": "set staging_restore_sandbox to false if you trust your backups",
    "docker program": "restore without Docker: staging_restore_engine set to embedded or external",
}
# The oldest Python that the engine runs on.
OLDEST = (3, 9)
# Seconds for a look at a folder that may be on a mount that hangs.
PATIENCE = 20.0
# Bytes that the engine, its state and its logs take.
ROOM = 64 << 20
PROBE = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""


class Problem(NamedTuple):
    """Something that a host lacks.

    Attributes:
        text: what, and what helps.
        name: of the library or program that is missing, a key of `packages.PACKAGES`.
    """

    text: str
    name: str = ""


def interpreter(python: str, libraries: list[str]) -> tuple[str, list[str]]:
    """Return why the interpreter cannot be used, and the libraries that it lacks."""
    try:
        probe = subprocess.run(  # pylint: disable=ansible-bad-function
            [python, "-E", "-c", PROBE, *libraries],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        version, missing = json.loads(probe.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error), libraries
    except ValueError:
        return probe.stderr.strip() or "it prints nothing", libraries
    if tuple(version) < OLDEST:
        return f"it is Python {'.'.join(map(str, version))}", missing
    return "", missing


def has_program(name: str) -> bool:
    """Return whether a program is installed, by its name in `packages.PACKAGES`."""
    return shutil.which(name.partition(" ")[0], path=PLACES) is not None


def problems(
    needs: Iterable[Mapping[str, Any]],
    python: str,
    family: str,
    system: Mapping[str, object] | None = None,
) -> list[Problem]:
    """Return everything that is missing, libraries last and in one sentence.

    Args:
        needs: of the stages, see stage_needs.py; one that several have counts once.
        python: the interpreter of the host commands.
        family: of the operating system, see `packages.family`.
        system: its names, see `packages.system`; with them a library that it has no package of is
            a problem without a name.
    """
    docker = has_program("docker program")
    required: list[Mapping[str, Any]] = []
    for need in needs:
        plain = {key: value for key, value in need.items() if key != "docker"}
        if need.get("docker", docker) == docker and plain not in required:
            required.append(plain)
    found = []
    for need in required:
        problem = _CHECKS[need["kind"]](need, family) if need["kind"] in _CHECKS else None
        found += [problem] if problem else []
    libraries = [str(need["name"]) for need in required if need["kind"] == "library"]
    missing = sorted(interpreter(python, libraries)[1]) if libraries else []
    for name in missing:
        by_pip = packages.by_pip(system, name, python) if system else ""
        text = f"{python} lacks {name}"
        text += f"; install {packages.package(family, name)}" if family == "rhel" else ""
        found.append(Problem(f"{text}; {by_pip}") if by_pip else Problem(text, name))
    return found


def room_problem(folder: str) -> Problem | None:
    """Return the problem of a folder's filesystem without room for the engine and its state."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Problem(f"{folder}: {reason(error)}")
    if free >= ROOM:
        return None
    return Problem(f"{folder}: {free >> 20} MB are free, at least {ROOM >> 20} MB are needed")


def writable(folder: str) -> bool:
    """Return whether the folder can be written to, or made."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _program(need: Mapping[str, Any], family: str) -> Problem | None:
    name = str(need["name"])
    if has_program(name):
        return None
    package = packages.package(family, name)
    instead = need.get("instead") or INSTEAD.get(name)
    text = f"{name.partition(' ')[0]}: not found on this host. Install {package}"
    return Problem(f"{text}, or {instead}" if instead else text, name)


def _folder(need: Mapping[str, Any], family: str) -> Problem | None:
    path = str(need["path"])
    try:
        why = separate_call.value(listing_problem, path, time_limit=PATIENCE)
    except ResilienceError as error:
        why = error.problem
    if not why:
        return None
    return Problem(
        f"{path}: {why} [{need['option']}]; mount or make the folder of the backups, or name"
        " another one"
    )


def listing_problem(path: str) -> str:
    """Return why a folder cannot be listed; empty if it can. It blocks where its disk hangs."""
    try:
        os.listdir(path)
    except OSError as error:
        return reason(error)
    return ""


def _build(need: Mapping[str, Any], family: str) -> Problem | None:
    path = str(need["path"])
    if os.path.isfile(os.path.join(path, "Dockerfile")):
        return None
    missing = "has no Dockerfile" if os.path.isdir(path) else "is not there"
    return Problem(
        f"{path}: the folder that the application is built from {missing} [{need['option']}]; name"
        " the right one, or an image in staging_restore_backend_image, or give an empty text for a"
        " drill without the application"
    )


def _reach(need: Mapping[str, Any], family: str) -> Problem | None:
    place = f"{need['host']}, port {need['port']}"
    try:
        socket.create_connection((need["host"], need["port"]), need["seconds"]).close()
    except OSError as error:
        return Problem(
            f"{place}, cannot be reached from this host: {reason(error)} [{need['option']}]; start"
            " its sshd, open the firewall, or correct the address"
        )
    return None


def _postgres(need: Mapping[str, Any], family: str) -> Problem | None:
    try:
        postgres.find_binaries(bin_dir=need["bin_dir"] or None)
    except ResilienceError as error:
        return Problem(error.message())
    return None


def _account(need: Mapping[str, Any], family: str) -> Problem | None:
    try:
        pwd.getpwnam(need["name"])
    except KeyError:
        return Problem(
            f"this host has no account {need['name']!r} [{need['option']}]; make it:"
            f" useradd --create-home --shell /bin/sh {need['name']}"
        )
    return None


def _wrong(need: Mapping[str, Any], family: str) -> Problem | None:
    return Problem(str(need["text"]))


_CHECKS = {
    "wrong": _wrong,
    "program": _program,
    "folder": _folder,
    "build": _build,
    "reach": _reach,
    "postgres": _postgres,
    "account": _account,
}
