#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the engine on a host, where the commands run without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_install
short_description: Puts the collection's engine on a host
version_added: "0.1.0"
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
options:
  dest:
    description:
      - The package's folder. Its last part is the package's name.
    type: path
    required: true
  folders:
    description:
      - More folders that the engine needs, and their modes (C("0700")). They are made, and their
        modes mended.
    type: dict
    default: {}
  texts:
    description:
      - More files beside the engine.
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
          - What it holds. It is in a diff unless O(texts[].mode) lets its owner alone read it.
        type: str
        required: true
      mode:
        description:
          - Its permissions, such as C("0755").
        type: str
        required: true
      keep:
        description:
          - Whether a file that is there keeps its content.
        type: bool
        default: false
  digests:
    description:
      - The engine's files by path in the package, and the SHA-256 of each. The action plugin of the
        same name gives them; give none yourself.
    type: dict
    default: {}
  files:
    description:
      - The content, base64, of those files that the host lacks, by path in the package. The action
        plugin gives them, too.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Put the engine on the host
  chefwell.resilience.engine_install:
    dest: /usr/local/lib/chefwell-resilience/chefwell_resilience
    folders:
      /etc/chefwell-resilience: "0700"
"""

RETURN = r"""
written:
  description: Files that were written and folders that were made or mended, or would be.
  returned: always
  type: list
  elements: str
  sample: [disk/usage.py]
wanting:
  description: Files whose content must be given first. Nothing was done yet.
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import install_files
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason

# Python makes these itself.
CACHE = "__pycache__"


def present(dest: str) -> dict[str, str]:
    """The digest of what the folder holds, by path in it."""
    found = {}
    for folder, folders, names in os.walk(dest):
        folders[:] = [name for name in folders if name != CACHE]
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, dest)] = digest
    return found


def main() -> None:
    """Compares, writes what differs, removes what is not the engine's."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "folders": {"type": "dict", "default": {}},
            "texts": install_files.TEXTS,
            "digests": {"type": "dict", "default": {}},
            "files": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    dest, folders = module.params["dest"], module.params["folders"]
    wanted, files = module.params["digests"], module.params["files"]
    if not wanted:
        module.fail_json(
            msg="no files were given [digests={}] - run this through its action plugin"
        )
    try:
        held = present(dest)
        written = sorted(name for name, digest in wanted.items() if held.get(name) != digest)
        wanting = [name for name in written if name not in files]
        if wanting and not module.check_mode:
            module.exit_json(changed=False, wanting=wanting)
        removed = sorted(held.keys() - wanted.keys())
        made = install_files.lacking(folders)
        texts = install_files.changes(install_files.from_options(module.params["texts"]))
        if not module.check_mode:
            install_files.make_folders(made, folders)
            install_files.write(module, texts)
            for name in written:
                path = os.path.join(dest, name)
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
                half = os.path.join(module.tmpdir, "engine-file")
                with open(half, "wb") as file:
                    file.write(base64.b64decode(files[name]))
                os.chmod(half, 0o644)
                module.atomic_move(half, path)
            for name in removed:
                os.unlink(os.path.join(dest, name))
    except ValueError as error:
        module.fail_json(msg=f"a mode is no octal number: {error} - write it as 0700")
    except OSError as error:
        module.fail_json(
            msg=f"the engine cannot be put there: {reason(error)} [dest={error.filename!r}]"
            " - name a folder that may be written to"
        )
    names = "".join(f"{name}\n" for name in sorted(held))
    after = "".join(f"{name}\n" for name in [*sorted(wanted), *made])
    module.exit_json(
        changed=bool(made or written or removed or texts),
        written=made + written + [change.file.path for change in texts],
        removed=removed,
        diff=[
            {"before_header": dest, "after_header": dest, "before": names, "after": after},
            *install_files.diff(texts),
        ],
    )


if __name__ == "__main__":
    main()
