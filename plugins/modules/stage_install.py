#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the configuration and the commands of one stage, all in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: stage_install
short_description: Install the configuration and the commands of one stage
version_added: "0.1.0"
description:
  - Writes a stage's configuration file (JSON, mode 0600) and the launchers of its commands (mode
    0755), and makes the folders for them.
  - With O(logrotate_file), also writes the rule by which the stage's log is rotated.
  - Only what differs is written, each file whole or not at all.
  - Internal. The roles of the stages call it; one task instead of one a file keeps a second run
    short.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  config_file:
    description:
      - Where the configuration goes.
    type: path
    required: true
  config:
    description:
      - The configuration. It may hold passwords, so it is in no output and no diff.
    type: dict
    required: true
  scripts_dir:
    description:
      - Where the launchers go.
    type: path
    required: true
  commands:
    description:
      - The host commands to launch. The launcher of C(disk-status) is C(disk-status.sh).
    type: list
    elements: str
    required: true
  python:
    description:
      - The interpreter that runs them.
    type: path
    required: true
  lib_dir:
    description:
      - The folder that holds the engine's package.
    type: path
    required: true
  log_file:
    description:
      - The stage's log, for the rule that rotates it.
    type: path
  logrotate_file:
    description:
      - Where that rule goes. Empty for none.
    type: str
    default: ""
  logrotate_weeks:
    description:
      - How many weeks of the log are kept.
    type: int
    default: 12
  folders:
    description:
      - Folders that the stage needs, and their modes (C("0755")). They are made, and their modes
        are set.
    type: dict
    default: {}
  texts:
    description:
      - More files of the stage.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Where the file goes.
        type: path
        required: true
      content:
        description:
          - Its content. It is in a diff unless O(texts[].mode) lets its owner alone read it.
        type: str
        required: true
      mode:
        description:
          - Its permissions, such as C("0600").
        type: str
        required: true
      keep:
        description:
          - Whether an existing file keeps its content.
        type: bool
        default: false
attributes:
  check_mode:
    description: Can run in check mode without changing the target.
    support: full
  diff_mode:
    description: Returns what has changed, or would, as a diff.
    details: The content of files that only their owner may read is left out.
    support: partial
"""

EXAMPLES = r"""
- name: Install stage 1
  chefwell.resilience.stage_install:
    config_file: /etc/chefwell-resilience/disk.json
    config:
      paths: [/]
    scripts_dir: /root/restaurante/scripts
    commands: [monitor-disk-space, disk-status]
    python: /usr/bin/python3
    lib_dir: /usr/local/lib/chefwell-resilience
"""

RETURN = r"""
written:
  description: Files that were written, or would be, and files whose mode was set.
  returned: always
  type: list
  elements: str
  sample: [/root/restaurante/scripts/disk-status.sh]
"""

import json
import os
import shlex
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import install_files
from ansible_collections.chefwell.resilience.plugins.module_utils.common.install_files import (
    TextFile,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason

# -E: nothing is imported because of the environment that it is called in.
LAUNCHER = """#!/bin/sh
exec {python} -E {launch} host_cli {command} --config {config} "$@"
"""

LOGROTATE = """# Written by chefwell.resilience; its rollback removes it.
{log} {{
    weekly
    rotate {weeks}
    compress
    missingok
    notifempty
}}
"""


def launcher(options: dict[str, str], command: str) -> str:
    """Return the script that runs one command of the engine."""
    return LAUNCHER.format(
        launch=shlex.quote(os.path.join(options["lib_dir"], "chefwell_resilience", "launch.py")),
        python=shlex.quote(options["python"]),
        command=shlex.quote(command),
        config=shlex.quote(options["config_file"]),
    )


def stage_files(options: dict[str, Any]) -> list[TextFile]:
    """Return every file of the stage.

    Raises:
        ValueError: a mode is no octal number.
    """
    config = json.dumps(options["config"], indent=4, ensure_ascii=False, sort_keys=True) + "\n"
    files = [TextFile(options["config_file"], config, 0o600)]
    for command in options["commands"]:
        path = os.path.join(options["scripts_dir"], f"{command}.sh")
        files.append(TextFile(path, launcher(options, command), 0o755))
    if options["logrotate_file"]:
        rule = LOGROTATE.format(log=options["log_file"], weeks=options["logrotate_weeks"])
        files.append(TextFile(options["logrotate_file"], rule, 0o644))
    return files + install_files.text_files(options["texts"])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config_file": {"type": "path", "required": True},
            "config": {"type": "dict", "required": True, "no_log": True},
            "scripts_dir": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "str", "required": True},
            "python": {"type": "path", "required": True},
            "lib_dir": {"type": "path", "required": True},
            "log_file": {"type": "path"},
            "logrotate_file": {"type": "str", "default": ""},
            "logrotate_weeks": {"type": "int", "default": 12},
            "folders": {"type": "dict", "default": {}},
            "texts": install_files.TEXTS_SPEC,
        },
        supports_check_mode=True,
    )
    options = module.params
    if options["logrotate_file"] and not options["log_file"]:
        module.fail_json(msg="logrotate_file is given without log_file - name the log")
    try:
        made = install_files.folders_to_make(options["folders"])
        found = install_files.pending_changes(stage_files(options))
        if not module.check_mode:
            install_files.make_folders(made, options["folders"])
            install_files.write_files(found)
    except ValueError as error:
        module.fail_json(msg=f"a mode is no octal number: {error} - write it as 0600")
    except OSError as error:
        module.fail_json(
            msg=f"the stage cannot be installed: {reason(error)} [path={error.filename!r}]"
            " - name a folder that may be written to"
        )
    folders = "".join(f"{path}\n" for path in made)
    module.exit_json(
        changed=bool(made or found),
        written=made + [change.file.path for change in found],
        diff=[
            {"before": "", "after": folders, "after_header": "folders"},
            *install_files.diff(found),
        ],
    )


if __name__ == "__main__":
    main()
