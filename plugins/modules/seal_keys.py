#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up the keys that seal offsite copies."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: seal_keys
short_description: (internal) Set up the keys that seal offsite copies
version_added: "1.0.0"
description:
  - Makes the identity of age and the key that signs, unless they are there, and writes for
    whom copies are sealed.
  - Makes a test file for each public key of the owner, and fails until each was opened. No
    secret key is returned or logged.
  - Internal. The role C(offsite_backup) calls it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
options:
  folder:
    description:
      - Folder of the keys; made with mode 0700.
    type: path
    required: true
  seal:
    description:
      - The option C(resilience_seal).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Set up the keys that seal
  chefwell.resilience.seal_keys:
    folder: /etc/chefwell-resilience/sealing
    seal:
      recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
"""

RETURN = r"""
recipients:
  description: For whom copies are sealed, the host's own key first.
  returned: success, but not in check mode before the first run
  type: list
  elements: str
signers:
  description: The public keys whose signatures count.
  returned: success, but not in check mode before the first run
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common import settings
from ..module_utils.common.errors import ResilienceError
from ..module_utils.common.system_errors import reason
from ..module_utils.sealing import keys
from ..module_utils.sealing.seal_settings import SealSettings


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "required": True},
            "seal": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    folder = module.params["folder"]
    try:
        seal = settings.parse(module.params["seal"], SealSettings, prefix="seal.")
        if module.check_mode and not os.path.isdir(folder):
            module.exit_json(changed=True)
        changed = not module.check_mode and keys.set_up(folder, seal)
        keys.load(folder, seal)
        found = keys.status(folder, seal)
    except ResilienceError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"the keys cannot be set up: {reason(error)} [folder={folder!r}]"
            " - name a folder that may be written to"
        )
    module.exit_json(changed=changed, recipients=found["recipients"], signers=found["signers"])


if __name__ == "__main__":
    main()
