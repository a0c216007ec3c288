#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check filesystem and folder usage against thresholds."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: disk_usage_check
short_description: Check filesystem and folder usage against thresholds
version_added: "1.0.0"
description:
  - Measures filesystems and folders, bytes and inodes, and gives each a level by its thresholds.
  - Percent used is what C(df) says, used / (used + available). Blocks that are reserved for root
    count as used up.
  - What cannot be measured (a path that is gone, a mount point that C(/etc/fstab) names and that is
    not mounted, a filesystem that hangs) has the level V(unknown), never V(ok).
  - A filesystem that is mounted read-only, and not meant to be by C(/etc/fstab), is V(critical).
  - Nothing is changed. The module can fail by the level, see O(fail_on), so its name does not end
    in C(_info).
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  paths:
    description:
      - Mount points, or any paths on filesystems, to watch with the thresholds below.
      - Without O(paths), O(targets) and O(backup_path), every filesystem that can fill is watched,
        as with O(discover=true).
    type: list
    elements: path
    default: []
  backup_path:
    description:
      - The backup tree. It is measured as a folder, by its share of its filesystem.
    type: path
  targets:
    description:
      - Targets with settings of their own. For what one leaves out, the options of the same name
        below are used.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: A mount point, any path on a filesystem, or a folder.
        type: path
        required: true
      name:
        description: What it is called.
        type: str
      folder:
        description: Judge what the folder itself holds, as a share of its filesystem.
        type: bool
        default: false
      warning:
        description: As O(warning).
        type: raw
      critical:
        description: As O(critical).
        type: raw
      emergency:
        description: As O(emergency).
        type: raw
      inodes_warning:
        description: As O(inodes_warning).
        type: raw
      inodes_critical:
        description: As O(inodes_critical).
        type: raw
      inodes_emergency:
        description: As O(inodes_emergency).
        type: raw
      must_be_mount:
        description: Whether it is V(unknown) when nothing is mounted there. Left out, that is so
          for mount points that C(/etc/fstab) names.
        type: bool
      may_be_read_only:
        description: Whether a read-only mount is as it should be. Left out, C(/etc/fstab) says so.
        type: bool
      time_limit:
        description: As O(time_limit).
        type: float
  discover:
    description:
      - Also watch every filesystem that can fill and was not named. Pseudo filesystems, filesystems
        in memory and read-only images are left out; a device that is mounted several times is
        listed once.
    type: bool
    default: false
  warning:
    description:
      - Where the level V(warning) begins, in percent used (V(70)) or in what is left (V(20GB), in
        steps of 1024). The three levels are all of one kind, and in order.
    type: raw
    default: 70
  critical:
    description:
      - Where the level V(critical) begins.
    type: raw
    default: 80
  emergency:
    description:
      - Where the level V(emergency) begins.
    type: raw
    default: 90
  inodes_warning:
    description:
      - Where the level V(warning) begins for inodes, in percent used (V(70)) or in how many are
        left (V(50000 left)). The three levels are all of one kind, and in order.
    type: raw
    default: 70
  inodes_critical:
    description:
      - Where the level V(critical) begins for inodes.
    type: raw
    default: 80
  inodes_emergency:
    description:
      - Where the level V(emergency) begins for inodes.
    type: raw
    default: 90
  time_limit:
    description:
      - Seconds that a filesystem has to answer.
    type: float
    default: 10
  backup_tiers:
    description:
      - The folders of the backup tree; V(.) is O(backup_path) itself. Empty for V(daily), V(weekly)
        and V(monthly), or for O(backup_path) itself where O(backup_pattern) is given.
    type: list
    elements: str
    default: []
  backup_pattern:
    description:
      - Names of backups, as strftime(3) writes them (C(shop-%Y-%m-%d.sql.gz)), or a regular
        expression. Empty for names such as C(chefwell_backup_20251120_030000.dump.gz).
    type: str
    default: ""
  retention:
    description:
      - How many backups each tier keeps.
    type: dict
    default: {daily: 7, weekly: 4, monthly: 3}
  drill_path:
    description:
      - Where restore drills put their database. Empty for the backups' filesystem.
    type: str
    default: /var/lib/docker
  drill_factor:
    description:
      - How many times its dump a restored database takes.
    type: float
    default: 12
  state_dir:
    description:
      - The folder of the host's history, C(/var/lib/chefwell-resilience) where the role
        C(disk_monitor) put it. Forecasts are made from it, and nothing is written to it. Without
        it there are no forecasts.
    type: path
  forecast_days:
    description:
      - The level is at least V(warning) when the emergency threshold will be reached within so many
        days, or the retention plan fits for fewer nights.
    type: float
    default: 7
  fail_on:
    description:
      - Fail when the level is this one or a worse one. V(unknown) fails for every choice but
        V(never), because the real level may be worse.
    type: str
    choices: [never, warning, critical, emergency]
    default: never
seealso:
  - module: chefwell.resilience.backup_inventory
"""

EXAMPLES = r"""
- name: Measure every disk of the host
  chefwell.resilience.disk_usage_check:
  register: disks

- name: Stop the play when a disk or the backups' share of it is critical
  chefwell.resilience.disk_usage_check:
    paths: [/]
    backup_path: /root/backups
    fail_on: critical

- name: Judge by what is left
  chefwell.resilience.disk_usage_check:
    targets:
      - path: /var/lib/postgresql
        must_be_mount: true
        warning: 40GB
        critical: 20GB
        emergency: 10GB
        inodes_warning: 200000 left
        inodes_critical: 100000 left
        inodes_emergency: 50000 left
      - path: /srv/uploads
        folder: true
        warning: 20
        critical: 30
        emergency: 40
"""

RETURN = r"""
level:
  description: The worst level of all targets, V(ok), V(unknown), V(warning), V(critical) or
    V(emergency).
  returned: success and when O(fail_on) makes the play fail
  type: str
  sample: warning
targets:
  description: Every target, measured and judged. What could not be measured is null.
  returned: success and when O(fail_on) makes the play fail
  type: list
  elements: dict
  contains:
    path:
      description: The target.
      type: str
    name:
      description: What it is called, if it was given a name.
      type: str
    folder:
      description: Whether it is measured as a folder.
      type: bool
    level:
      description: Its level.
      type: str
    reason:
      description: Why, in English.
      type: str
    causes:
      description: What was judged, the worst first, as C(code), C(level), C(falls_to) (the level
        that an alert in force falls back to) and C(values).
      type: list
      elements: dict
    percent_used:
      description: Percent of the bytes that users may have; a folder's share of its filesystem.
      type: float
    bytes_total:
      description: Size of the filesystem.
      type: int
    bytes_used:
      description: Used on the filesystem, or by the folder.
      type: int
    bytes_available:
      description: Left for users other than root.
      type: int
    inodes_percent_used:
      description: Percent of the inodes used; null where they are not counted.
      type: float
    inodes_total:
      description: How many inodes there are.
      type: int
    inodes_used:
      description: How many are used.
      type: int
    mount_point:
      description: Where the filesystem is mounted.
      type: str
    filesystem:
      description: Its type.
      type: str
    read_only:
      description: Whether it is mounted read-only.
      type: bool
    limits:
      description: Percent used at which each level begins.
      type: dict
    also_at:
      description: Other targets that are the same filesystem.
      type: list
      elements: str
    folders:
      description: Bytes of each folder in a folder, by name.
      type: dict
    forecast:
      description: When it will be full; null without a history.
      type: dict
    inodes_forecast:
      description: When its inodes will be used up; null without a history.
      type: dict
  sample:
    - path: /
      name: ""
      folder: false
      level: warning
      reason: space 71.2% used (27.4 GB left), warning from 70%
      causes:
        - code: space
          level: warning
          falls_to: warning
          values:
            percent: 71.2
            left: 29382344909
            limit: 70.0
            limit_is_percent: true
            share: false
        - code: inodes
          level: ok
          falls_to: ok
          values: {percent: 6.84, left: 6105334, limit: null, limit_is_percent: true}
      percent_used: 71.2
      bytes_total: 107374182400
      bytes_used: 72623859507
      bytes_available: 29382344909
      inodes_percent_used: 6.84
      inodes_total: 6553600
      inodes_used: 448266
      mount_point: /
      filesystem: ext4
      read_only: false
      limits: {warning: 70.0, critical: 80.0, emergency: 90.0}
      also_at: []
      folders: null
      forecast:
        status: growing
        per_day: 1288490188.8
        per_day_low: 1202590842.9
        per_day_high: 1395864371.2
        days_to: {critical: 7.0, emergency: 14.9, full: 22.8}
        days_to_full_early: 21.0
        days_to_full_late: 24.4
        confidence: high
        samples: 112
        days: 28.0
        history_days: 89.75
        cleaned: false
      inodes_forecast: null
backups:
  description: What the backup tree holds, as M(chefwell.resilience.backup_inventory) returns it,
    without the list of files; null without O(backup_path) or where it cannot be read.
  returned: success and when O(fail_on) makes the play fail
  type: dict
  sample:
    root: /root/backups
    tiers:
      daily:
        count: 7
        bytes: 25165824
        newest: daily/chefwell_backup_20251120_030000.dump.gz
        oldest: daily/chefwell_backup_20251114_030000.dump.gz
      weekly:
        count: 4
        bytes: 16777216
        newest: weekly/chefwell_backup_20251116_030000.dump.gz
        oldest: weekly/chefwell_backup_20251026_030000.dump.gz
      monthly:
        count: 3
        bytes: 12582912
        newest: monthly/chefwell_backup_20251101_030000.dump.gz
        oldest: monthly/chefwell_backup_20250901_030000.dump.gz
    total_count: 14
    total_bytes: 54525952
    ignored: []
    in_progress: []
    problems: []
tiers:
  description: What each tier of the backup tree takes up on the disk, by name. Empty without
    O(backup_path).
  returned: success and when O(fail_on) makes the play fail
  type: dict
  contains:
    bytes_used:
      description: Bytes that it takes up, as C(du) counts them.
      type: int
    percent_used:
      description: Its share of the filesystem.
      type: float
    growth_per_day:
      description: Bytes by which it grows in a day; null without O(state_dir) or enough data.
      type: float
  sample:
    daily: {bytes_used: 25165824, percent_used: 0.0234, growth_per_day: 143360.0}
    weekly: {bytes_used: 16777216, percent_used: 0.0156, growth_per_day: 20480.0}
    monthly: {bytes_used: 12582912, percent_used: 0.0117, growth_per_day: null}
fits:
  description: Whether tonight's dump and a restore drill fit, and for how many nights the retention
    plan fits at the present growth; null without O(backup_path).
  returned: success and when O(fail_on) makes the play fail
  type: dict
  sample:
    next_dump: 3774873
    dump_growth: 20480.0
    dump_fits: true
    drill_needs: 317509197
    drill_available: 29382344909
    drill_fits: true
    nights: 120
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common import separate_call
from ..module_utils.common.errors import ResilienceError
from ..module_utils.common.levels import reaches
from ..module_utils.disk import disk_check
from ..module_utils.disk.backup_fit import RETENTION

# Seconds for a whole measurement; those of each filesystem are an option.
TIME_LIMIT = 900.0


def thresholds(with_default: bool) -> dict[str, dict[str, object]]:
    """Return the options for the thresholds of bytes and of inodes."""
    defaults = {"warning": 70, "critical": 80, "emergency": 90}
    return {
        prefix + name: {"type": "raw", "default": value} if with_default else {"type": "raw"}
        for prefix in ("", "inodes_")
        for name, value in defaults.items()
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": []},
            "backup_path": {"type": "path"},
            "targets": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "name": {"type": "str"},
                    "folder": {"type": "bool", "default": False},
                    "must_be_mount": {"type": "bool"},
                    "may_be_read_only": {"type": "bool"},
                    "time_limit": {"type": "float"},
                    **thresholds(with_default=False),
                },
            },
            "discover": {"type": "bool", "default": False},
            "time_limit": {"type": "float", "default": 10},
            "backup_tiers": {"type": "list", "elements": "str", "default": []},
            "backup_pattern": {"type": "str", "default": ""},
            "retention": {"type": "dict", "default": dict(RETENTION)},
            "drill_path": {"type": "str", "default": "/var/lib/docker"},
            "drill_factor": {"type": "float", "default": 12},
            "state_dir": {"type": "path"},
            "forecast_days": {"type": "float", "default": 7},
            "fail_on": {
                "type": "str",
                "choices": ["never", "warning", "critical", "emergency"],
                "default": "never",
            },
            **thresholds(with_default=True),
        },
        supports_check_mode=True,
    )
    options = {name: value for name, value in module.params.items() if value is not None}
    state_dir, fail_on = options.pop("state_dir", None), options.pop("fail_on")
    named = any(options.get(name) for name in ("paths", "targets", "backup_path"))
    options["discover"] = options["discover"] or not named
    # Unlike the monitor on a host, a task measures the backup tree only where it names one.
    options.setdefault("backup_path", "")
    try:
        found = separate_call.value(
            disk_check.values, options, state_dir or "", time_limit=TIME_LIMIT
        )
    except ResilienceError as error:
        module.fail_json(msg=str(error))
    level, results = found["level"], found["targets"]
    if any(reaches(result["level"], fail_on) for result in results):
        reasons = [f"{one['path']}: {one['reason']}" for one in results if one["level"] != "ok"]
        module.fail_json(msg=f"the level is {level}: {'; '.join(reasons)}", changed=False, **found)
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
