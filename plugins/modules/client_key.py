#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create an ssh key pair and its folder, unless they are there."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: client_key
short_description: (internal) Create an ssh key pair and its folder, unless they are there
version_added: "1.0.0"
description:
  - Creates an Ed25519 key pair without a passphrase, and the folder of it (mode 0700).
  - A key that is there is never replaced, whatever it is, and a folder that is there keeps its
    mode. A missing public key is written anew from the private one.
  - Internal. The roles of the stages call it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
options:
  path:
    description:
      - The file of the private key. The public one lies beside it, with the ending C(.pub).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Create the key pair, unless there is one
  chefwell.resilience.client_key:
    path: /root/.ssh/chefwell_backup
"""

RETURN = r"""
public_key:
  description: The public key, one line without a comment. Empty in check mode where there is none.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common.files import replace_file
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason


def create(module: Any, path: str, program: str) -> None:
    """Create the key pair, and its folder where it is missing."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        os.mkdir(folder, 0o700)
    made = [program, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]
    code, output, errors = module.run_command(made)
    if code != 0:
        module.fail_json(
            msg=f"the key cannot be created: {(errors or output).strip()} [path={path!r}]"
        )


def public_key(module: Any, path: str, program: str) -> str:
    """Return the public key of a private one, without a comment."""
    code, output, errors = module.run_command([program, "-y", "-P", "", "-f", path])
    if code != 0:
        module.fail_json(
            msg=f"the key cannot be used: {errors.strip()} [path={path!r}] - name another file,"
            " where a key without a passphrase is or will be made"
        )
    return " ".join(output.split()[:2])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True
    )
    path = module.params["path"]
    program = module.get_bin_path("ssh-keygen")
    if not program:
        module.fail_json(
            msg="ssh-keygen was not found - install openssh-client (Debian) or openssh-clients"
            " (RHEL)"
        )
    try:
        missing = not os.path.lexists(path)
        if missing and module.check_mode:
            module.exit_json(changed=True, public_key="", diff={"before": "", "after": f"{path}\n"})
        if missing:
            create(module, path, program)
        key = public_key(module, path, program)
        lost = not os.path.exists(f"{path}.pub")
        if lost and not module.check_mode:
            replace_file(f"{path}.pub", f"{key}\n", mode=0o644)
    except OSError as error:
        module.fail_json(
            msg=f"the key cannot be created: {reason(error)} [path={error.filename!r}] - name a"
            " file in a folder that may be written to"
        )
    written = [path] if missing else [f"{path}.pub"] if lost else []
    module.exit_json(
        changed=bool(written),
        public_key=key,
        diff={"before": "", "after": "".join(f"{one}\n" for one in written)},
    )


if __name__ == "__main__":
    main()
