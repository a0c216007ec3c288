#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage one crontab entry, without harm to the lines beside it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cron_entry
short_description: (internal) Manage one crontab entry
version_added: "1.0.0"
description:
  - Makes sure that a crontab has one entry for each job, or that it has none.
  - The entry is a line below a comment that names it, as M(ansible.builtin.cron) writes it;
    entries of that module are recognized. Unlike that module, this one takes the line below the
    comment for the entry only if it runs the command of its job. Where a person deleted the line
    and left the comment, the next line stays as it is.
  - Internal. The roles of the stages call it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
  - chefwell.resilience.installing.crontab
options:
  cron_entries:
    description:
      - Entries of the crontab.
    required: true
  user:
    description:
      - User whose crontab it is. By default that of the user who runs this.
    type: str
"""

EXAMPLES = r"""
- name: Run the monitor from cron
  chefwell.resilience.cron_entry:
    cron_entries:
      - name: chefwell.resilience disk monitor
        minute: "0"
        hour: "*/6"
        job: /root/restaurante/scripts/monitor-disk-space.sh
"""

RETURN = r"""
lines:
  description: How many lines the crontab has afterwards.
  returned: always
  type: int
  sample: 4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.chefwell.resilience.plugins.module_utils.common import crontab_program


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cron_entries": {**crontab_program.ENTRIES_SPEC, "required": True},
            "user": {"type": "str"},
        },
        supports_check_mode=True,
    )
    user = module.params["user"]
    before, after = crontab_program.pending(module, module.params["cron_entries"], user)
    if after != before and not module.check_mode:
        crontab_program.write(module, after, user)
    module.exit_json(
        changed=after != before, lines=len(after), diff=crontab_program.diff(before, after)
    )


if __name__ == "__main__":
    main()
