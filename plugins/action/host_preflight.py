# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module of the same name, and have what lookups import loaded once for all tasks.

Ansible loads an action before it starts a process for the task, and compiles what is imported from
a collection anew in each process. The lookups of every later task need these modules.
"""

from __future__ import annotations

from ansible.plugins.action.normal import ActionModule as NormalAction

from ..module_utils.checkpoint import checkpoint_settings
from ..module_utils.preflight import stage_needs
from ..plugin_utils import role_options

LOADED_FOR_LOOKUPS = (checkpoint_settings, stage_needs, role_options)


class ActionModule(NormalAction):
    """Run the module as Ansible does without an action."""
