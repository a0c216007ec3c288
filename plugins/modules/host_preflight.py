#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out which requirements of the stages a host meets, once for all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_preflight
short_description: Find out which requirements of the stages a host meets
version_added: "0.1.0"
description:
  - Changes nothing and decides nothing. Returns which system it is, which programs and Python
    libraries are missing, where its user may not write, and which stages are installed.
  - Internal. The role C(host_kit) calls it once a run, and fails with one message.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  python:
    description:
      - The interpreter that is to run the host commands.
    type: path
    required: true
  libraries:
    description:
      - Python libraries to look for, by the names that they are imported by.
    type: list
    elements: str
    default: []
  programs:
    description:
      - Programs to look for.
    type: list
    elements: str
    default: []
  folders:
    description:
      - Folders that are to be made or written in.
    type: list
    elements: path
    default: []
  config_dir:
    description:
      - The folder of the stages' configurations.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Find out what the host has
  chefwell.resilience.host_preflight:
    python: /usr/bin/python3
    libraries: [psutil]
    programs: [crontab]
    config_dir: /etc/chefwell-resilience
  register: host
"""

RETURN = r"""
system:
  description: The operating system, C(ID), C(ID_LIKE) and C(PRETTY_NAME) of os-release(5).
  returned: always
  type: dict
  sample: {id: debian, like: [], name: Debian GNU/Linux 12 (bookworm)}
user:
  description: The user who will write.
  returned: always
  type: str
  sample: root
python_problem:
  description: Why the interpreter cannot be used. Empty when it can.
  returned: always
  type: str
  sample: ""
missing_libraries:
  description: Those of O(libraries) that the interpreter lacks.
  returned: always
  type: list
  elements: str
  sample: [apprise]
missing_programs:
  description: Those of O(programs) that were not found.
  returned: always
  type: list
  elements: str
  sample: [docker]
not_writable:
  description: Those of O(folders) that the user may neither write in nor make.
  returned: always
  type: list
  elements: str
  sample: []
stages:
  description: Stages that have a configuration.
  returned: always
  type: list
  elements: str
  sample: [disk, offsite]
"""

import getpass
import json
import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

# The search path of the host commands; the administrator's folders are not on every user's.
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where os-release(5) may lie; the first one that is there counts.
RELEASES = ("/etc/os-release", "/usr/lib/os-release")
# The oldest Python that the engine runs on.
OLDEST = (3, 9)
PROBE = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""


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
    return {"id": found.get("ID", ""), "like": found.get("ID_LIKE", "").split(), "name": name}


def interpreter(python: str, libraries: list[str]) -> tuple[str, list[str]]:
    """Return why the interpreter cannot be used, and the libraries that it lacks."""
    try:
        probe = subprocess.run(
            [python, "-c", PROBE, *libraries],
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


def writable(folder: str) -> bool:
    """Return whether the folder can be written to, or made."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def stages(config_dir: str) -> list[str]:
    """Return the stages that have a configuration."""
    try:
        names = sorted(os.listdir(config_dir))
    except FileNotFoundError:
        return []
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def user() -> str:
    """Return the name of the user, or its number where it has none."""
    try:
        return getpass.getuser() if os.geteuid() else "root"
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "libraries": {"type": "list", "elements": "str", "default": []},
            "programs": {"type": "list", "elements": "str", "default": []},
            "folders": {"type": "list", "elements": "path", "default": []},
            "config_dir": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    problem, missing = interpreter(options["python"], options["libraries"])
    folders = [folder for folder in options["folders"] if not writable(folder)]
    try:
        installed = stages(options["config_dir"])
    except OSError as error:
        if options["config_dir"] not in folders:
            folders.append(error.filename)
        installed = []
    module.exit_json(
        changed=False,
        system=system(),
        user=user(),
        python_problem=problem,
        missing_libraries=missing,
        missing_programs=[
            name for name in options["programs"] if not shutil.which(name, path=PLACES)
        ],
        not_writable=folders,
        stages=installed,
    )


if __name__ == "__main__":
    main()
