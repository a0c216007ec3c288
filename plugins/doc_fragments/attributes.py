# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of check mode and diffs that modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes of modules that only read, and of those that write (`attributes.writes`)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode without changing the target.
    support: full
  diff_mode:
    description: Returns what has changed, or would, as a diff.
    support: none
"""

    WRITES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode without changing the target.
    support: full
  diff_mode:
    description: Returns what has changed, or would, as a diff.
    support: full
"""
