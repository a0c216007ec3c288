#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the engine from a host on which no stage uses it any more."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_remove
short_description: (internal) Remove the engine from a host on which no stage uses it
version_added: "1.0.0"
description:
  - Does nothing while a stage has a configuration.
  - Otherwise removes the engine, the command C(checkpoint.sh) with its configuration, the status
    page and the history, and then those of its folders that are empty. A folder that holds
    something else stays as it is.
  - Internal. The rollbacks call it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
options:
  lib_dir:
    description:
      - The folder that holds the engine's package.
    type: path
    required: true
  config_dir:
    description:
      - The folder of the stages' configurations.
    type: path
    required: true
  state_dir:
    description:
      - The folder of history and state.
    type: path
    required: true
  scripts_dir:
    description:
      - The folder of the commands.
    type: path
    required: true
  status_page:
    description:
      - The status page, whose values are beside it; a name without a folder is a file in
        O(state_dir). Empty for none.
    type: str
    default: status.html
  keep_history:
    description:
      - Whether the history is kept.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Remove the engine if no stage uses it
  chefwell.resilience.engine_remove:
    lib_dir: /usr/local/lib/chefwell-resilience
    config_dir: /etc/chefwell-resilience
    state_dir: /var/lib/chefwell-resilience
    scripts_dir: /root/restaurante/scripts
"""

RETURN = r"""
stages:
  description: Configurations of stages that exist. With any, nothing is removed.
  returned: always
  type: list
  elements: str
  sample: []
removed:
  description: What was removed, or would be.
  returned: always
  type: list
  elements: str
  sample: [/etc/chefwell-resilience]
"""

import os
from fnmatch import fnmatch
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import installed_record
from ansible_collections.chefwell.resilience.plugins.module_utils.common.removal import remove_path
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason
from ansible_collections.chefwell.resilience.plugins.module_utils.preflight import moved_folders

PACKAGE = "chefwell_resilience"
CHECKPOINT = "checkpoint.json"
# What engine_install recorded.
RECORD = "engine.installed"
# Files that all stages share; each stage's own are removed by its rollback.
HISTORY = "history.sqlite3*"
LOCKS = "*.lock"


def listed(folder: str) -> list[str]:
    """Return the names in a folder; none if it does not exist."""
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def engine_files(options: dict[str, Any]) -> list[str]:
    """Return the engine's own files and folders that exist."""
    named = [
        os.path.join(options["lib_dir"], PACKAGE),
        os.path.join(options["config_dir"], CHECKPOINT),
        os.path.join(options["scripts_dir"], "checkpoint.sh"),
        os.path.join(options["lib_dir"], "doctor.json"),
        os.path.join(options["scripts_dir"], "doctor.sh"),
        os.path.join(options["config_dir"], RECORD),
    ]
    for config in (CHECKPOINT, RECORD):
        record = installed_record.record_of(os.path.join(options["config_dir"], config))
        named += [*installed_record.left_behind(installed_record.recorded(record), ()), record]
    state = options["state_dir"]
    if options["status_page"]:
        page = os.path.join(state, options["status_page"])
        named += [page, os.path.splitext(page)[0] + ".json"]
    patterns = [LOCKS] if options["keep_history"] else [LOCKS, HISTORY]
    for name in listed(state):
        if any(fnmatch(name, pattern) for pattern in patterns):
            named.append(os.path.join(state, name))
    return [path for path in dict.fromkeys(named) if os.path.lexists(path)]


def empty_folders(options: dict[str, Any], removed: list[str]) -> list[str]:
    """Return the engine's folders that will be empty then."""
    folders = [options[f"{name}_dir"] for name in ("lib", "config", "state", "scripts")]
    gone = set(removed)
    return [
        folder
        for folder in folders
        if os.path.isdir(folder)
        and all(os.path.join(folder, name) in gone for name in listed(folder))
    ]


def main() -> None:
    """Run the module."""
    folders = ("lib_dir", "config_dir", "state_dir", "scripts_dir")
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in folders},
            "status_page": {"type": "str", "default": "status.html"},
            "keep_history": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    # Otherwise stages under the earlier path would lose their engine, and their folders be left.
    moved = moved_folders.problems(
        *(options[name] for name in ("lib_dir", "scripts_dir", "config_dir", "state_dir"))
    )
    if moved:
        module.fail_json(msg="\n".join(moved))
    try:
        stages = [
            name
            for name in listed(options["config_dir"])
            if name.endswith(".json") and name != CHECKPOINT
        ]
        files = [] if stages else engine_files(options)
        empty = [] if stages else empty_folders(options, files)
        if not module.check_mode:
            for path in files:
                remove_path(path)
            for folder in empty:
                os.rmdir(folder)
    except OSError as error:
        module.fail_json(
            msg=f"the engine cannot be removed: {reason(error)} [path={error.filename!r}]"
            " - run this as root, or as the user who installed it"
        )
    removed = [*files, *empty]
    module.exit_json(
        changed=bool(removed),
        stages=stages,
        removed=removed,
        diff={"before": "".join(f"{path}\n" for path in removed), "after": ""},
    )


if __name__ == "__main__":
    main()
