# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of programs and libraries, by the family of the operating system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Where os-release(5) may lie; the first one that is there counts.
RELEASES = ("/etc/os-release", "/usr/lib/os-release")
INSTALL = {"debian": "apt-get install", "rhel": "dnf install"}
# Import name of a library, or name of a program, to its package.
PACKAGES = {
    "debian": {
        "apprise": "apprise",
        "docker": "python3-docker",
        "jinja2": "python3-jinja2",
        "prometheus_client": "python3-prometheus-client",
        "psutil": "python3-psutil",
        "psycopg2": "python3-psycopg2",
        "age": "age",
        "bwrap": "bubblewrap",
        "crontab": "cron",
        "docker program": "docker.io",
        "rclone": "rclone",
        "rsync": "rsync",
        "ssh": "openssh-client",
        "ssh-keygen": "openssh-client",
    },
    "rhel": {
        "apprise": "apprise",
        "docker": "python3-docker",
        "jinja2": "python3-jinja2",
        "prometheus_client": "python3-prometheus_client",
        "psutil": "python3-psutil",
        "psycopg2": "python3-psycopg2",
        "age": "age",
        "bwrap": "bubblewrap",
        "crontab": "cronie",
        "docker program": "docker-ce",
        "rclone": "rclone",
        "rsync": "rsync",
        "ssh": "openssh-clients",
        "ssh-keygen": "openssh-clients",
    },
}
# Where a package of the RHEL family comes from, if not from the system itself.
FROM = {
    **dict.fromkeys(("apprise", "docker", "prometheus_client", "age", "rclone"), "EPEL"),
    "docker program": "Docker's repository",
}
# Libraries that a system has no package of, by ID and VERSION_ID of os-release(5).
UNPACKAGED = {("debian", "11"): frozenset({"apprise"})}


def system() -> dict[str, object]:
    """Return the operating system's names; empty ones where it has no os-release file."""
    found: dict[str, str] = {}
    for path in RELEASES:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    name, equals, value = line.strip().partition("=")
                    if equals:
                        found[name] = value.strip("\"'")
        except OSError:
            continue
        break
    name = found.get("PRETTY_NAME") or found.get("ID") or "a system without a name"
    return {
        "id": found.get("ID", ""),
        "like": found.get("ID_LIKE", "").split(),
        "name": name,
        "version": found.get("VERSION_ID", ""),
    }


def family(names: Iterable[str]) -> str:
    """Return `debian`, `rhel`, or an empty string for any other system.

    Args:
        names: its own, and those of the systems that it is like.
    """
    known = set(names)
    if "debian" in known:
        return "debian"
    return "rhel" if known & {"rhel", "fedora", "centos"} else ""


def by_pip(system_values: Mapping[str, object], name: str, python: str) -> str:
    """Return what installs a library that the system has no package of; empty where it has one."""
    known = (str(system_values["id"]), str(system_values["version"]))
    if name not in UNPACKAGED.get(known, ()):
        return ""
    return f"{system_values['name']} has no package of it: {python} -m pip install {name}"


def package(family_name: str, name: str) -> str:
    """Return the package of a program, its family, and where that has it from, for people."""
    found = PACKAGES.get(family_name, {}).get(name, name)
    if family_name == "rhel":
        return f"{found} (RHEL{', from ' + FROM[name] if name in FROM else ''})"
    return f"{found} (Debian)" if family_name == "debian" else found


def install_command(family_name: str, names: Iterable[str]) -> str:
    """Return the command that installs what is missing; empty where nothing is known to do so."""
    known = PACKAGES.get(family_name, {})
    packages = sorted({known[name] for name in names if name in known})
    return " ".join([INSTALL[family_name], *packages]) if packages else ""
