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
short_description: (internal) Find out which requirements of the stages a host meets
version_added: "1.0.0"
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
  needs:
    description:
      - What each stage needs of the host, by the name of its configuration (C(disk), C(offsite),
        C(staging)), as P(chefwell.resilience.stage_needs#lookup) returns it. Of a stage that is
        installed already, only libraries and programs are looked for.
    type: dict
    default: {}
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
  lib_dir:
    description:
      - The folder of the engine. With O(scripts_dir) and O(state_dir), an installation whose
        configuration or history is in another folder is a problem. Empty for a backup server.
    type: str
    default: ""
  scripts_dir:
    description:
      - The folder of the commands.
    type: str
    default: ""
  state_dir:
    description:
      - The folder of history and state.
    type: str
    default: ""
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
  description: The operating system, some values of os-release(5).
  returned: always
  type: dict
  sample: {id: debian, like: [], name: Debian GNU/Linux 12 (bookworm), version: "12"}
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
family:
  description: V(debian), V(rhel), or empty for any other system.
  returned: always
  type: str
  sample: debian
problems:
  description: What the host lacks of O(needs), each with its remedy; libraries are left out.
  returned: always
  type: list
  elements: str
  sample: ["rsync: not found on this host. Install rsync (Debian)"]
install:
  description: The command that installs what is missing, libraries too. Empty where nothing is.
  returned: always
  type: str
  sample: apt-get install rsync
needed_libraries:
  description: Libraries of O(needs) that the interpreter lacks, and their packages.
  returned: always
  type: dict
  sample: {psutil: python3-psutil}
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
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import (
    host_problems,
    moved_folders,
    packages,
)

FOLDERS = ("lib_dir", "scripts_dir", "state_dir")


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
            "needs": {"type": "dict", "default": {}},
            "folders": {"type": "list", "elements": "path", "default": []},
            "config_dir": {"type": "path", "required": True},
            **{name: {"type": "str", "default": ""} for name in FOLDERS},
        },
        supports_check_mode=True,
    )
    options = module.params
    python = options["python"]
    problem, missing = host_problems.interpreter(python, options["libraries"])
    folders = [folder for folder in options["folders"] if not host_problems.writable(folder)]
    try:
        installed = stages(options["config_dir"])
    except OSError as error:
        if options["config_dir"] not in folders:
            folders.append(error.filename)
        installed = []
    system = packages.system()
    family = packages.family([str(system["id"]), *system["like"]])
    needs = [
        need
        for stage, required in options["needs"].items()
        for need in required
        if stage not in installed or need["kind"] in ("library", "program", "wrong")
    ]
    found = host_problems.problems(needs, python, family, system)
    if not installed and options["folders"]:
        found += filter(None, [host_problems.room_problem(options["folders"][0])])
    if options["lib_dir"]:
        lib_dir, scripts_dir, state_dir = (options[name] for name in FOLDERS)
        moved = moved_folders.problems(lib_dir, scripts_dir, options["config_dir"], state_dir)
        found += map(host_problems.Problem, moved)
    lacking = [one.name for one in found if one.name and one.text.startswith(f"{python} lacks ")]
    module.exit_json(
        changed=False,
        system=system,
        family=family,
        user=user(),
        python_problem=problem,
        missing_libraries=missing,
        missing_programs=[
            name for name in options["programs"] if not host_problems.has_program(name)
        ],
        not_writable=folders,
        stages=installed,
        problems=[one.text for one in found if not one.name or one.name not in lacking],
        install=packages.install_command(family, {one.name for one in found if one.name}),
        needed_libraries={
            name: packages.PACKAGES.get(family, {}).get(name, name) for name in lacking
        },
    )


if __name__ == "__main__":
    main()
