#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write one page about all hosts on the controller; the action plugin of this name does it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: status_page
short_description: Write one page about disk, offsite copy and restore drill of all hosts
version_added: "1.0.0"
description:
  - Writes one static HTML page on the controller that shows the disk, the offsite copy and the last
    restore drill of each host with their age and trend. What is overdue is as red as what failed,
    and so is a host that could not be reached.
  - The playbook C(chefwell.resilience.status) reads C(status.json) of each host and calls
    this module.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  dest:
    description:
      - The page, on the controller.
    type: path
    required: true
  hosts:
    description:
      - Names of the hosts that it shows.
    type: list
    elements: str
    required: true
  register:
    description:
      - Name of the variable in which each host has registered the result of
        M(ansible.builtin.slurp) of its C(status.json).
    type: str
    required: true
  language:
    description:
      - Language of the page, V(pt_BR) or V(en). Empty for that of the first host.
    type: str
    default: ""
  owner:
    description:
      - Whose systems these are, for the title. Empty for that of the first host.
    type: str
    default: ""
extends_documentation_fragment:
  - chefwell.resilience.attributes
"""

EXAMPLES = r"""
- name: Write the page
  chefwell.resilience.status_page:
    dest: status.html
    hosts: "{{ groups['production'] }}"
    register: status_file
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
dest:
  description: The page.
  returned: always
  type: str
  sample: status.html
states:
  description:
    - State of each host, V(ok), V(warn), V(unknown), V(bad), or V(none) where nothing has run yet.
  returned: always
  type: dict
  sample: {web1: ok, web2: bad}
"""
