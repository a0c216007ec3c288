# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stages need of their host, as a lookup."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stage_needs
short_description: (internal) What stages need of their host
version_added: "1.0.0"
description:
  - Returns the libraries, programs, folders and addresses that stages need, from the play's
    variables. Their configuration is tried first; where it is wrong, one sentence says how.
  - Internal. The role C(host_kit) calls it.
author:
  - chefwell.resilience contributors (@chefwell)
options:
  _terms:
    description: Names of the roles.
    required: true
"""

EXAMPLES = r"""
- name: Show what stage 1 needs
  ansible.builtin.debug:
    msg: "{{ lookup('chefwell.resilience.stage_needs', 'disk_monitor') }}"
"""

RETURN = r"""
_raw:
  description: What each stage needs.
  type: list
  elements: list
"""

from typing import Any

from ansible.plugins.lookup import LookupBase

from ..plugin_utils.role_options import stage_needs


class LookupModule(LookupBase):
    """Returns what each stage needs."""

    def run(
        self, terms: list[str], variables: Any = None, **kwargs: Any
    ) -> list[list[dict[str, Any]]]:
        available = variables or {}

        def value(name: str) -> Any:
            return self._templar.template(available[name])

        return [stage_needs(role, available, value) for role in terms]
