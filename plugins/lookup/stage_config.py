# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a stage on a host, as a lookup."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stage_config
short_description: (internal) Configuration of a stage on a host
version_added: "1.0.0"
description:
  - Returns the configuration of a stage, those options of its role that the stage's settings class
    in the engine has. A new option of both needs no other line.
  - The configuration is tried with the engine. One sentence names the variable that is wrong.
  - Internal. The roles call it.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  _terms:
    description: Name of the role, or V(backup_server).
    required: true
  options:
    description:
      - Options of the role, as P(chefwell.resilience.role_options#lookup) returns them.
    type: dict
    required: true
  host:
    description: What the host adds, such as its folders.
    type: dict
    default: {}
  destination:
    description: For V(backup_server), the destination whose server it is.
    type: dict
"""

EXAMPLES = r"""
- name: Show the configuration of stage 1
  ansible.builtin.debug:
    msg: "{{ lookup('chefwell.resilience.stage_config', 'disk_monitor', options=found) }}"
  vars:
    found: "{{ lookup('chefwell.resilience.role_options', 'disk_monitor') }}"
"""

RETURN = r"""
_raw:
  description: The configuration.
  type: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.role_options import parsed_config, stage_config


class LookupModule(LookupBase):
    """Returns the configuration of each stage that is named."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        values = {**self.get_option("options"), **self.get_option("host")}
        destination = self.get_option("destination")
        found = [stage_config(role, values, destination) for role in terms]
        if destination is None:
            for role, config in zip(terms, found):
                parsed_config(role, config, variables or {})
        return found
