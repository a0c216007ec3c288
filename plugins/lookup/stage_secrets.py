# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets in the configuration of a stage, as a lookup."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stage_secrets
short_description: (internal) Secrets in the configuration of a stage
version_added: "1.0.0"
description:
  - Returns the values that Ansible must not show, and the names of the options that hold them, so
    that only these are hidden, and not every word of a configuration.
  - Internal. The roles call it.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  _terms:
    description: Name of the role, or V(backup_server).
    required: true
  config:
    description: The configuration, as P(chefwell.resilience.stage_config#lookup) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which options of stage 1 hold secrets
  ansible.builtin.debug:
    msg: "{{ lookup('chefwell.resilience.stage_secrets', 'disk_monitor', config=found).options }}"
  vars:
    found: "{{ lookup('chefwell.resilience.stage_config', 'disk_monitor', options=given) }}"
    given: "{{ lookup('chefwell.resilience.role_options', 'disk_monitor') }}"
"""

RETURN = r"""
_raw:
  description: The secrets, C(values), and the names of the options, C(options).
  type: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.role_options import stage_secrets


class LookupModule(LookupBase):
    """Returns the secrets of each stage that is named."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        return [stage_secrets(role, self.get_option("config")) for role in terms]
