#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the inventory of a backup tree, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backup_inventory
short_description: Take the inventory of a backup tree and compare it with another
version_added: "1.0.0"
description:
  - Reads a tree of backups, tier by tier, and returns count, bytes, newest and oldest of each
    tier, and every backup with its SHA-256.
  - Given the inventory of another tree, it also names the backups that are missing here, extra or
    different.
  - Nothing is changed. Links are not followed, and pipes, sockets and devices are not opened.
  - Run it on another host, by delegation, to take the inventory of a tree there.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  path:
    description:
      - The folder that holds the tiers.
    type: path
    required: true
  tiers:
    description:
      - The folders in it that are read. One that cannot be read is a problem, and two trees with a
        problem never count as equal.
    type: list
    elements: str
    default: [daily, weekly, monthly]
  pattern:
    description:
      - Names of backups, as strftime(3) writes them, such as C(bistro-%Y-%m-%d.sql.gz). A pattern
        without a C(%) is a regular expression (Python), matched from the name's beginning. Other
        names are listed as ignored.
      - The groups C(date) (year, month, day) and C(time) (hour, minute, second) give the time at
        which a backup was taken. Only their digits count, so that C(2025-11-20) and C(03h00) work;
        without C(time) it is the day's beginning, and without C(date) the file's time of change.
      - Left out, names such as C(chefwell_backup_20251120_030000.dump.gz) match. Each matches with
        C(.age) behind it as well, as a sealed backup has it.
    type: str
  digest:
    description:
      - Whether to read every backup and take its SHA-256. Without it, trees are compared by name
        and size only.
    type: bool
    default: true
  schedule:
    description:
      - Hours between two backups of each tier, such as 24 for C(daily). Given it,
        RV(freshness) names late tiers and missing backups.
    type: dict
  compare_with:
    description:
      - The RV(inventory) of another tree that this module returned, on this host or another.
    type: dict
seealso:
  - module: ansible.builtin.find
"""

EXAMPLES = r"""
- name: Take the inventory of the backups
  chefwell.resilience.backup_inventory:
    path: /root/backups
  register: production

- name: Take the inventory of the copy and compare it with production
  chefwell.resilience.backup_inventory:
    path: /backups/chefwell
    compare_with: "{{ production.inventory }}"
  delegate_to: backup-server
  register: copy

- name: Fail if the two differ
  ansible.builtin.assert:
    that: copy.comparison.in_sync

- name: Fail if a night was missed
  chefwell.resilience.backup_inventory:
    path: /root/backups
    digest: false
    schedule:
      daily: 24
  register: nights
  failed_when: nights.freshness.daily.gaps | length > 0 or not nights.freshness.daily.fresh

- name: Only count, without reading any backup
  chefwell.resilience.backup_inventory:
    path: /srv/dumps
    tiers: [nightly]
    pattern: '^db-(?P<date>\d{8})\.dump$'
    digest: false
"""

RETURN = r"""
inventory:
  description: What the tree holds, with control characters and bytes that are not UTF-8 escaped in
    file names. Give it to O(compare_with) of another run.
  returned: success
  type: dict
  contains:
    root:
      description: The tree.
      type: str
    tiers:
      description:
        - Each tier's C(count), C(bytes), and the paths of its C(newest) and C(oldest) backup.
      type: dict
    total_count:
      description: How many backups there are.
      type: int
    total_bytes:
      description: Their size together.
      type: int
    files:
      description:
        - Every backup's C(path) in the tree, C(tier), C(bytes), C(mtime_ns), C(sha256), and
          C(taken_at) from its name.
      type: list
      elements: dict
    ignored:
      description: What is in the tiers and is no backup, links and special files included.
      type: list
      elements: str
    in_progress:
      description: Backups that some process still writes. They are in no other list.
      type: list
      elements: str
    problems:
      description: What could not be read. A tree with problems is not known whole.
      type: list
      elements: str
  sample:
    root: /root/backups
    tiers:
      daily:
        count: 1
        bytes: 36864
        newest: daily/chefwell_backup_20251120_030000.dump.gz
        oldest: daily/chefwell_backup_20251120_030000.dump.gz
    total_count: 1
    total_bytes: 36864
    files:
      - path: daily/chefwell_backup_20251120_030000.dump.gz
        tier: daily
        bytes: 36864
        mtime_ns: 1763618400123456789
        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        taken_at: "2025-11-20T03:00:00"
    ignored: [daily/README]
    in_progress: [daily/chefwell_backup_20251121_030000.dump.gz]
    problems: ["weekly: Permission denied"]
freshness:
  description:
    - By tier of O(schedule). C(newest) and C(age_hours) are V(null) for a
      tier without a backup that counts; C(fresh) allows a quarter more than is expected; C(gaps)
      are the moments between the oldest and the newest backup at which one should have been taken.
  returned: when O(schedule) is given
  type: dict
  sample:
    daily:
      newest: daily/chefwell_backup_20251120_030000.dump.gz
      age_hours: 7.5
      expected_hours: 24.0
      fresh: true
      gaps: ["2025-11-18T03:00-03:00"]
comparison:
  description: How this tree differs from the one in O(compare_with).
  returned: when O(compare_with) is given
  type: dict
  contains:
    in_sync:
      description: Whether both trees were read whole and hold the same.
      type: bool
    missing:
      description: Backups of the other tree that this one lacks.
      type: list
      elements: str
    extra:
      description: Backups that only this tree has.
      type: list
      elements: str
    different:
      description: Backups whose content differs.
      type: list
      elements: str
    compared_by:
      description: V(sha256), or V(bytes) where a side has no digests.
      type: str
    unknown:
      description: Problems of either side.
      type: list
      elements: str
  sample:
    in_sync: false
    missing: [daily/chefwell_backup_20251119_030000.dump.gz]
    extra: [weekly/chefwell_backup_20251116_030000.dump.gz]
    different: [daily/chefwell_backup_20251120_030000.dump.gz]
    compared_by: sha256
    unknown: ["monthly: No such file or directory"]
"""

import datetime

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.errors import ResilienceError
from ..module_utils.inventory import (
    freshness,
    inventory,
    inventory_names,
    tree_comparison,
    tree_digests,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "tiers": {"type": "list", "elements": "str", "default": list(inventory.TIERS)},
            "pattern": {"type": "str"},
            "digest": {"type": "bool", "default": True},
            "schedule": {"type": "dict"},
            "compare_with": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        other = options["compare_with"] and inventory.from_dict(options["compare_with"])
        found = inventory.scan(
            options["path"], tiers=options["tiers"], pattern=options["pattern"] or ""
        )
        if options["digest"]:
            found = tree_digests.with_digests(found)
        tree = inventory_names.printable(found)
        result = {"inventory": tree.to_dict()}
        if options["schedule"]:
            now = datetime.datetime.now().astimezone()
            result["freshness"] = freshness.of(tree, options["schedule"], now)
        if other:
            result["comparison"] = tree_comparison.compare(other, tree).to_dict()
    except ResilienceError as error:
        if error.option == "backup_pattern":
            error.option = "pattern"  # the name of the same option here
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
