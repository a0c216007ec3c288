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
short_description: (internal) Install the configuration and the commands of one stage
version_added: "1.0.0"
description:
  - Writes a stage's configuration file (JSON, mode 0600) and the launchers of its commands (mode
    0755), and makes the folders for them.
  - What was installed is recorded beside the configuration. Where a path has changed since, the
    file under the earlier one is removed.
  - With O(logrotate_file), also writes the rule by which the stage's log is rotated.
  - Only what differs is written, each file whole or not at all.
  - Internal. The roles of the stages call it; one task instead of one a file keeps a second run
    short.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.installing.crontab
  - chefwell.resilience.installing.texts
options:
  config_file:
    description:
      - Where the configuration goes.
    type: path
    required: true
  config:
    description:
      - The configuration. A diff shows its options, but for those of O(secret_options).
      - It is tried before it replaces the one that is there, also in check mode, by the first of
        O(commands), where the host has the engine.
    type: dict
    required: true
  secrets:
    description:
      - The secrets in O(config) and O(texts), which no output may show.
    type: list
    elements: str
    default: []
  secret_options:
    description:
      - Options of O(config) that hold secrets. A diff only says whether they differ.
    type: list
    elements: str
    default: []
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
  cron_entries:
    description:
      - Entries of the crontab of the user who runs this, as M(chefwell.resilience.cron_entry) takes
        them.
    default: []
attributes:
  check_mode:
    description: Can run in check mode without changing the target.
    support: full
  diff_mode:
    description: Returns what has changed, or would, as a diff.
    details: Secret options, and the content of other files that only their owner may read, are
      left out.
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
removed:
  description: Files of earlier paths that were removed, or would be.
  returned: always
  type: list
  elements: str
  sample: []
"""

import json
import os
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import (
    crontab_program,
    install_files,
    installed_record,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.files import replace_file
from ansible_collections.chefwell.resilience.plugins.module_utils.common.install_files import (
    Change,
    TextFile,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.launcher import (
    command_script,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason

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
    launch = launch_file(options["lib_dir"])
    return command_script(options["python"], launch, command, options["config_file"])


def stage_files(options: dict[str, Any]) -> list[TextFile]:
    """Return every file of the stage.

    Raises:
        ValueError: a mode is no octal number.
    """
    config = json_text(options["config"])
    files = [TextFile(options["config_file"], config, 0o600)]
    for command in options["commands"]:
        path = os.path.join(options["scripts_dir"], f"{command}.sh")
        files.append(TextFile(path, launcher(options, command), 0o755))
    if options["logrotate_file"]:
        rule = LOGROTATE.format(log=options["log_file"], weeks=options["logrotate_weeks"])
        files.append(TextFile(options["logrotate_file"], rule, 0o644))
    return files + install_files.text_files(options["texts"])


def config_problem(folder: str, options: dict[str, Any], found: list[Change]) -> str:
    """Return what is wrong with the new configuration, by the engine that is to read it.

    Args:
        folder: for the configuration while it is tried; only its owner may read it.
        options: of the module.
        found: the files that differ.
    """
    engine = launch_file(options["lib_dir"])
    new = [one.file for one in found if one.file.path == options["config_file"]]
    if not new or not os.path.exists(engine):
        return ""
    path = os.path.join(folder, os.path.basename(options["config_file"]))
    replace_file(path, new[0].content, durable=False)
    command = [options["python"], "-E", engine, "host_cli", options["commands"][0]]
    try:
        tried = subprocess.run(  # pylint: disable=ansible-bad-function
            [*command, "--config", path, "--check"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the configuration cannot be tried: {error} [python={options['python']!r}]"
    finally:
        os.unlink(path)
    if tried.returncode == 0:
        return ""
    reported = tried.stderr.decode("utf-8", "replace").strip()
    return reported.replace(path, options["config_file"]) or "the configuration is wrong"


def config_diff(options: dict[str, Any], found: list[Change]) -> list[dict[str, str]]:
    """Return what a diff shows of the configuration: secret options without their values."""
    shown = []
    for change in found:
        if change.file.path == options["config_file"]:
            before, after = parsed(change.before), options["config"]
            for name in options["secret_options"]:
                same = name not in before or before[name] == after.get(name)
                if name in before:
                    before = {**before, name: "(hidden)"}
                if name in after:
                    after = {**after, name: "(hidden)" if same else "(hidden, and it differs)"}
            header = f"{change.file.path} (mode {change.file.mode:04o})"
            shown.append(
                {
                    "before_header": header,
                    "after_header": header,
                    "before": json_text(before) if change.before is not None else "",
                    "after": json_text(after),
                }
            )
    return shown


def parsed(text: str | None) -> dict[str, Any]:
    """Return the object that a configuration file holds; an empty one where it holds none."""
    try:
        held = json.loads(text or "{}")
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def json_text(values: dict[str, Any]) -> str:
    """Return a configuration as its file holds it."""
    return json.dumps(values, indent=4, ensure_ascii=False, sort_keys=True) + "\n"


def launch_file(lib_dir: str) -> str:
    """Return the file that starts the engine's programs."""
    return os.path.join(lib_dir, "chefwell_resilience", "launch.py")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "config_file": {"type": "path", "required": True},
            "config": {"type": "dict", "required": True},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "secret_options": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "scripts_dir": {"type": "path", "required": True},
            "commands": {"type": "list", "elements": "str", "required": True},
            "python": {"type": "path", "required": True},
            "lib_dir": {"type": "path", "required": True},
            "log_file": {"type": "path"},
            "logrotate_file": {"type": "str", "default": ""},
            "logrotate_weeks": {"type": "int", "default": 12},
            "folders": {"type": "dict", "default": {}},
            "texts": install_files.TEXTS_SPEC,
            "cron_entries": {**crontab_program.ENTRIES_SPEC, "default": []},
        },
        supports_check_mode=True,
    )
    options = module.params
    if options["logrotate_file"] and not options["log_file"]:
        module.fail_json(msg="logrotate_file is given without log_file - name the log")
    try:
        made = install_files.folders_to_make(options["folders"])
        files = stage_files(options)
        record = installed_record.record_of(options["config_file"])
        before = installed_record.recorded(record)
        paths = [file.path for file in files]
        left = installed_record.left_behind(before, paths)
        files.append(TextFile(record, installed_record.text(paths), 0o644))
        found = install_files.pending_changes(files, before)
        problem = config_problem(module.tmpdir, options, found)
        if problem:
            module.fail_json(msg=problem)
        lines, scheduled = (
            crontab_program.pending(module, options["cron_entries"])
            if options["cron_entries"]
            else ([], [])
        )
        if not module.check_mode:
            install_files.make_folders(made, options["folders"])
            install_files.write_files(found)
            installed_record.remove(left)
            if scheduled != lines:
                crontab_program.write(module, scheduled)
    except ValueError as error:
        module.fail_json(msg=f"a mode is no octal number: {error} - write it as 0600")
    except OSError as error:
        module.fail_json(
            msg=f"the stage cannot be installed: {reason(error)} [path={error.filename!r}]"
            " - name a folder that may be written to"
        )
    folders = "".join(f"{path}\n" for path in made)
    module.exit_json(
        changed=bool(made or found or left or scheduled != lines),
        written=made + [change.file.path for change in found],
        removed=left,
        diff=[
            {"before": "", "after": folders, "after_header": "folders"},
            *config_diff(options, found),
            {
                "before": "".join(f"{path}\n" for path in left),
                "after": "",
                "before_header": "removed",
            },
            crontab_program.diff(lines, scheduled),
            *install_files.diff([one for one in found if one.file.path != options["config_file"]]),
        ],
    )


if __name__ == "__main__":
    main()
