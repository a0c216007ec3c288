#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up one client on a backup server."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: server_client
short_description: (internal) Set up one client on a backup server
version_added: "1.0.0"
description:
  - Makes the client's folder, configuration, keys and daily job on a backup server, by the engine
    that M(chefwell.resilience.engine_install) put there.
  - In check mode, a server without the engine would be changed.
  - Internal. The role of stage 2 calls it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  python:
    description:
      - The server's interpreter.
    type: path
    required: true
  kit_dir:
    description:
      - The folder of the engine on the server.
    type: path
    required: true
  setup:
    description:
      - What the client needs, the fields of C(ClientSetup) in C(server/server_setup.py).
    type: dict
    required: true
  host_key_file:
    description:
      - The server's own public host key, to be returned. Empty for none.
    type: str
    default: ""
  secrets:
    description:
      - The secrets in O(setup), which no output may show.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Set up this client on the server
  chefwell.resilience.server_client:
    python: /usr/bin/python3
    kit_dir: /usr/local/lib/chefwell-resilience-server
    setup:
      client: bistro
      account: backupuser
"""

RETURN = r"""
changes:
  description: What was changed, or would be; paths, and C(crontab).
  returned: success
  type: list
  elements: str
  sample: [crontab]
host_key:
  description: What O(host_key_file) holds.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH root@backup
"""

import json
import os
import subprocess

from ansible.module_utils.basic import AnsibleModule

OLDEST = (3, 9)


def version(python: str) -> tuple[int, ...]:
    """Return the version of an interpreter.

    Raises:
        OSError: it cannot be run.
        ValueError: it is no Python.
    """
    listed = subprocess.run(  # pylint: disable=ansible-bad-function
        [python, "-E", "-c", "import sys; print(*sys.version_info[:2])"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return tuple(int(part) for part in listed.stdout.split())


def read_host_key(module: AnsibleModule, path: str) -> str:
    """Return the server's public host key; empty for no file."""
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        module.fail_json(
            msg=f"the server's host key cannot be read: {error} [host_key_file={path!r}] - name the"
            " file of its public key in host_key_file of the destination, or give host_key"
        )
        raise


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "kit_dir": {"type": "path", "required": True},
            "setup": {"type": "dict", "required": True},
            "host_key_file": {"type": "str", "default": ""},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    python = module.params["python"]
    try:
        found = version(python)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        found, problem = (), str(error)
    else:
        problem = f"it is Python {'.'.join(map(str, found))}" if found else "it prints no version"
    if found < OLDEST:
        module.fail_json(
            msg=f"{python} on the backup server is not Python 3.9 or newer: {problem}"
            " - install python3 (Debian 11 or newer), name another one in server_python of the"
            " destination, or set mode: account, for a server that cannot restrict the key"
        )
    host_key = read_host_key(module, module.params["host_key_file"])
    launch = os.path.join(module.params["kit_dir"], "chefwell_resilience", "launch.py")
    if module.check_mode and not os.path.exists(launch):
        module.exit_json(changed=True, changes=[launch], host_key=host_key)
    command = [python, "-B", "-E", "-s", launch, "server.server_setup"]
    done = subprocess.run(  # pylint: disable=ansible-bad-function
        command + (["--check"] if module.check_mode else []),
        input=json.dumps(module.params["setup"]),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    try:
        changes = json.loads(done.stdout)["changes"] if done.returncode == 0 else []
    except ValueError:
        changes = []
    if module.check_mode and done.returncode not in (0, 2):
        # an engine that will be replaced
        module.exit_json(changed=True, changes=[launch], host_key=host_key)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        module.fail_json(msg=last[-1])
    module.exit_json(changed=bool(changes), changes=changes, host_key=host_key)


if __name__ == "__main__":
    main()
