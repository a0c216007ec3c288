#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the files and folders of one stage, all in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: stage_remove
short_description: (internal) Remove the files and folders of one stage
version_added: "1.0.0"
description:
  - Removes what is named, and nothing else; what does not exist is left out.
  - Internal. The rollbacks call it; one task instead of one a file keeps them short.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
options:
  paths:
    description:
      - Files and folders. A folder is removed with its content, a link without its target. An
        empty string names nothing.
    type: list
    elements: str
    default: []
  config_file:
    description:
      - The configuration of the stage, which is removed with everything that its installation
        recorded, under earlier paths too. Empty for none.
    type: str
    default: ""
  logs:
    description:
      - Logs, which are removed with their rotated files. An empty string names nothing.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Remove stage 1
  chefwell.resilience.stage_remove:
    paths:
      - /root/restaurante/scripts/monitor-disk-space.sh
      - /root/restaurante/scripts/disk-status.sh
    logs: [/var/log/chefwell-disk-monitor.log]
"""

RETURN = r"""
removed:
  description: What was removed, or would be.
  returned: always
  type: list
  elements: str
  sample: [/root/restaurante/scripts/disk-status.sh]
"""

import glob
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import installed_record
from ansible_collections.chefwell.resilience.plugins.module_utils.common.removal import remove_path
from ansible_collections.chefwell.resilience.plugins.module_utils.common.system_errors import reason


def existing(paths: list[str], logs: list[str]) -> list[str]:
    """Return every named path that exists, without those that go with a folder of the list."""
    found = list(paths)
    for log in filter(None, logs):
        found += [log, *sorted(glob.glob(f"{glob.escape(log)}.[0-9]*"))]
    there = [path for path in dict.fromkeys(found) if path and os.path.lexists(path)]
    return [path for path in there if not any(_is_below(path, folder) for folder in there)]


def _is_below(path: str, folder: str) -> bool:
    """Return whether a path lies in a folder that is removed whole."""
    if path == folder or os.path.islink(folder) or not os.path.isdir(folder):
        return False
    return os.path.normpath(path).startswith(os.path.normpath(folder).rstrip("/") + "/")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str", "default": []},
            "config_file": {"type": "str", "default": ""},
            "logs": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    paths = list(module.params["paths"])
    if module.params["config_file"]:
        record = installed_record.record_of(module.params["config_file"])
        paths += installed_record.left_behind(installed_record.recorded(record), ())
        paths += [module.params["config_file"], record]
    removed = existing(paths, module.params["logs"])
    relative = [
        path for path in removed if not os.path.isabs(path) or os.path.realpath(path) == "/"
    ]
    if relative:
        module.fail_json(
            msg=f"this is no place for a stage's file [paths={relative[0]!r}]"
            " - give the whole path of a file or folder"
        )
    try:
        if not module.check_mode:
            for path in removed:
                remove_path(path)
    except OSError as error:
        module.fail_json(
            msg=f"the stage cannot be removed: {reason(error)} [path={error.filename!r}]"
            " - run this as root, or as the user who installed it"
        )
    module.exit_json(
        changed=bool(removed),
        removed=removed,
        diff={"before": "".join(f"{path}\n" for path in removed), "after": ""},
    )


if __name__ == "__main__":
    main()
