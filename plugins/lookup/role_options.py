# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a role of this collection, as a lookup."""

from __future__ import annotations

DOCUMENTATION = r"""
name: role_options
short_description: (internal) Options of a role of this collection
version_added: "1.0.0"
description:
  - Returns the options of one of this collection's roles, by their names without the role's, from
    the play's variables and the role's argument specification.
  - An option that the variables do not give is taken from the variables that all stages share
    (C(resilience_*), see the role C(chefwell.resilience.resilience)), or has its default.
  - Internal. The roles call it.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  _terms:
    description: Name of the role.
    required: true
"""

EXAMPLES = r"""
- name: Show where backups lie
  ansible.builtin.debug:
    msg: "{{ lookup('chefwell.resilience.role_options', 'disk_monitor').backup_path }}"
"""

RETURN = r"""
_raw:
  description: The options.
  type: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.role_options import role_options


class LookupModule(LookupBase):
    """Returns the options of each role that is named."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        available = variables or {}

        def value(name: str) -> Any:
            return self._templar.template(available[name])

        return [role_options(role, available, value) for role in terms]
