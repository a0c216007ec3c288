#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks what a host has of what the stages need, once for all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_look
short_description: Looks what a host has of what the stages need
version_added: "0.1.0"
description:
  - Changes nothing, and judges nothing. Says which system it is, which programs and Python
    libraries are missing, where its user may not write, and which stages are installed.
  - Internal. The role C(host_kit) calls it once a run and refuses with one message.
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
- name: Look what the host has
  chefwell.resilience.host_look:
    python: /usr/bin/python3
    libraries: [psutil]
    programs: [crontab]
    config_dir: /etc/chefwell-resilience
  register: host
"""

RETURN = r"""
system:
  description: What the system calls itself, C(ID), C(ID_LIKE) and C(PRETTY_NAME) of os-release(5).
  returned: always
  type: dict
  sample: {id: debian, like: [], name: Debian GNU/Linux 12 (bookworm)}
user:
  description: Who looked, and is to write.
  returned: always
  type: str
  sample: root
python_problem:
  description: Why the interpreter does not do. Empty when it does.
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
  description: Those of O(programs) that are not there.
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
  description: Stages whose configuration is there.
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

# As the host commands look: the administrator's folders are not on everybody's path.
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where os-release(5) may lie; the first one that is there counts.
RELEASES = ("/etc/os-release", "/usr/lib/os-release")
# The oldest Python that the engine runs on.
OLDEST = (3, 11)
QUESTION = """
import importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(json.dumps([list(sys.version_info[:2]), missing]))
"""


def system() -> dict[str, object]:
    """What the system calls itself; of one that does not say, nothing."""
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
    name = found.get("PRETTY_NAME") or found.get("ID") or "a system that does not say its name"
    return {"id": found.get("ID", ""), "like": found.get("ID_LIKE", "").split(), "name": name}


def interpreter(python: str, libraries: list[str]) -> tuple[str, list[str]]:
    """Why the interpreter does not do, and the libraries that it lacks."""
    try:
        asked = subprocess.run(
            [python, "-c", QUESTION, *libraries],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        version, missing = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError) as error:
        return str(error), libraries
    except ValueError:
        return asked.stderr.strip() or "it says nothing", libraries
    if tuple(version) < OLDEST:
        return f"it is Python {'.'.join(map(str, version))}", missing
    return "", missing


def writable(folder: str) -> bool:
    """Whether the folder can be written in, or made."""
    while not os.path.lexists(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def stages(config_dir: str) -> list[str]:
    """The stages whose configuration is there."""
    try:
        names = sorted(os.listdir(config_dir))
    except FileNotFoundError:
        return []
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def user() -> str:
    """Who is asked, by name where there is one."""
    try:
        return getpass.getuser() if os.geteuid() else "root"
    except (KeyError, OSError):
        return f"user {os.geteuid()}"


def main() -> None:
    """Looks."""
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
