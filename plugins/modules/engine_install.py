#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the engine on a host, where the commands run without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_install
short_description: (internal) Install the collection's engine on a host
version_added: "1.0.0"
description:
  - Writes the collection's C(plugins/module_utils) of the controller into a folder of the host, so
    that the host's commands run the very same code without Ansible.
  - Only files that differ are written, each whole or not at all. Files that this collection does
    not have are removed, so the folder must be the engine's own.
  - Internal. The role M(ansible.builtin.include_role) C(host_kit) calls it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
  - chefwell.resilience.installing.texts
options:
  dest:
    description:
      - The package's folder. Its last part is the package's name.
    type: path
    required: true
  folders:
    description:
      - More folders that the engine needs, and their modes (C("0700")). They are made, and their
        modes are set.
    type: dict
    default: {}
  texts:
    description:
      - More files beside the engine.
  scripts:
    description:
      - Scripts beside the engine, each of which runs one of its commands.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Where it goes; its mode is 0755.
        type: path
        required: true
      command:
        description:
          - The command, such as C(doctor).
        type: str
        required: true
      config:
        description:
          - The file with the command's configuration.
        type: path
        required: true
      python:
        description:
          - The interpreter that runs it.
        type: path
        required: true
  record:
    description:
      - The file that records what is installed. Where a path has changed since, what lies under the
        earlier one is removed. Empty for none.
    type: str
    default: ""
  digests:
    description:
      - The engine's files by path in the package, and the SHA-256 of each. The action plugin of the
        same name fills them in; set none yourself.
    type: dict
    default: {}
  files:
    description:
      - The content, base64, of those files that the host lacks, by path in the package. The action
        plugin fills them in, too.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Install the engine
  chefwell.resilience.engine_install:
    dest: /usr/local/lib/chefwell-resilience/chefwell_resilience
    folders:
      /etc/chefwell-resilience: "0700"
"""

RETURN = r"""
written:
  description: Files that were written, folders that were made or whose mode was set, or would be.
  returned: always
  type: list
  elements: str
  sample: [disk/usage.py]
missing:
  description: Files whose content must be sent first. Nothing was done yet.
  returned: when a file that differs is not among O(files)
  type: list
  elements: str
  sample: []
removed:
  description: Files that were removed, or would be.
  returned: always
  type: list
  elements: str
  sample: []
"""

import base64
import hashlib
import os
from collections.abc import Iterable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import (
    install_files,
    installed_record,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.files import replace_file
from ansible_collections.chefwell.resilience.plugins.module_utils.common.launcher import (
    command_script,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason

# Python makes these itself.
CACHE = "__pycache__"


def installed_digests(dest: str) -> dict[str, str]:
    """Return the SHA-256 of each file in the folder, by path in it."""
    found = {}
    for folder, folders, names in os.walk(dest):
        folders[:] = [name for name in folders if name != CACHE]
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, dest)] = digest
    return found


def engine_folders(dest: str, names: Iterable[str]) -> dict[str, str]:
    """Return the folders of the engine with their modes: other users run the monitoring plugin."""
    found = {dest}
    for name in names:
        while name := os.path.dirname(name):
            found.add(os.path.join(dest, name))
    return dict.fromkeys(sorted(found), "0755")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "folders": {"type": "dict", "default": {}},
            "texts": install_files.TEXTS_SPEC,
            "scripts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "command": {"type": "str", "required": True},
                    "config": {"type": "path", "required": True},
                    "python": {"type": "path", "required": True},
                },
            },
            "record": {"type": "str", "default": ""},
            "digests": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    dest, folders = module.params["dest"], module.params["folders"]
    digests, files = module.params["digests"], module.params["files"]
    if not digests:
        module.fail_json(
            msg="no files were given [digests={}] - run this through its action plugin"
        )
    try:
        installed = installed_digests(dest)
        written = sorted(name for name, digest in digests.items() if installed.get(name) != digest)
        missing = [name for name in written if name not in files]
        if missing and not module.check_mode:
            module.exit_json(changed=False, missing=missing)
        removed = sorted(installed.keys() - digests.keys())
        folders = {**engine_folders(dest, digests), **folders}
        made = install_files.folders_to_make(folders)
        beside = install_files.text_files(module.params["texts"])
        launch = os.path.join(dest, "launch.py")
        for one in module.params["scripts"]:
            text = command_script(one["python"], launch, one["command"], one["config"])
            beside.append(install_files.TextFile(one["path"], text, 0o755))
        left = []
        if module.params["record"]:
            paths = [dest, *(file.path for file in beside)]
            before = installed_record.recorded(module.params["record"])
            left = installed_record.left_behind(before, paths)
            text = installed_record.text(paths)
            beside.append(install_files.TextFile(module.params["record"], text, 0o644))
        texts = install_files.pending_changes(beside)
        if not module.check_mode:
            install_files.make_folders(made, folders)
            install_files.write_files(texts)
            for name in written:
                path = os.path.join(dest, name)
                content = base64.b64decode(files[name])
                replace_file(path, content, mode=0o644, durable=False)
            for name in removed:
                os.unlink(os.path.join(dest, name))
            installed_record.remove(left)
    except ValueError as error:
        module.fail_json(msg=f"a mode is no octal number: {error} - write it as 0700")
    except OSError as error:
        module.fail_json(
            msg=f"the engine cannot be installed: {reason(error)} [dest={error.filename!r}]"
            " - name a folder that may be written to"
        )
    names = "".join(f"{name}\n" for name in sorted(installed))
    after = "".join(f"{name}\n" for name in [*sorted(digests), *made])
    module.exit_json(
        changed=bool(made or written or removed or texts or left),
        written=made + written + [change.file.path for change in texts],
        removed=removed + left,
        diff=[
            {"before_header": dest, "after_header": dest, "before": names, "after": after},
            *install_files.diff(texts),
        ],
    )


if __name__ == "__main__":
    main()
