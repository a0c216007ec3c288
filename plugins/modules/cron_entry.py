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
  - Makes sure that a crontab has one entry that runs O(job), or that it has none.
  - The entry is a line below a comment that names it, as M(ansible.builtin.cron) writes it;
    entries of that module are recognized. Unlike that module, this one takes the line below the
    comment for the entry only if it runs the command of O(job). Where a person deleted the line and
    left the comment, the next line stays as it is.
  - Internal. The roles of the stages call it.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes.writes
options:
  name:
    description:
      - Name of the entry, in the comment above it.
    type: str
    required: true
  job:
    description:
      - Command that it runs. Its first word is a path, which identifies the line.
    type: str
    required: true
  minute:
    description:
      - Minute field.
    type: str
    default: "*"
  hour:
    description:
      - Hour field.
    type: str
    default: "*"
  weekday:
    description:
      - Field of the day of the week.
    type: str
    default: "*"
  user:
    description:
      - User whose crontab it is. By default that of the user who runs this.
    type: str
  state:
    description:
      - Whether the entry exists. On a host without cron there is none to remove.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Run the monitor from cron
  chefwell.resilience.cron_entry:
    name: chefwell.resilience disk monitor
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

from ..module_utils.common import crontab


def shown(lines: list[str]) -> str:
    """Return the lines as a diff shows them: bytes that are no UTF-8 written out."""
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "job": {"type": "str", "required": True},
            "minute": {"type": "str", "default": "*"},
            "hour": {"type": "str", "default": "*"},
            "weekday": {"type": "str", "default": "*"},
            "user": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    options = module.params
    present = options["state"] == "present"
    program = module.get_bin_path("crontab")
    if not program:
        if not present:
            module.exit_json(changed=False, lines=0)
        module.fail_json(msg="crontab was not found on this host - install cron (Debian)")
    command = [program, *(["-u", options["user"]] if options["user"] else [])]
    # A crontab is bytes: lines of others may be in any encoding.
    code, output, errors = module.run_command(
        [*command, "-l"], encoding="utf-8", errors="surrogateescape"
    )
    if code != 0 and "no crontab for" not in errors:
        if not present and "unknown" in errors:
            # The account is gone, and its crontab with it.
            module.exit_json(changed=False, lines=0)
        module.fail_json(
            msg=f"the crontab cannot be read: {errors.strip()} [user={options['user']!r}]"
        )
    before = output.splitlines() if code == 0 else []
    schedule = f"{options['minute']} {options['hour']} * * {options['weekday']}"
    after = crontab.with_entry(
        before, options["name"], options["job"], schedule if present else None
    )
    if after != before and not module.check_mode:
        text = "".join(f"{line}\n" for line in after)
        if after:
            code, _output, errors = module.run_command(
                [*command, "-"],
                data=text.encode("utf-8", "surrogateescape"),
                binary_data=True,
            )
        else:
            code, _output, errors = module.run_command([*command, "-r"])
        if code != 0:
            module.fail_json(msg=f"the crontab cannot be written: {errors.strip()}")
    module.exit_json(
        changed=after != before,
        lines=len(after),
        diff={"before": shown(before), "after": shown(after)},
    )


if __name__ == "__main__":
    main()
