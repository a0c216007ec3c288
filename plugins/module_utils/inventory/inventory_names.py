# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories whose file names any program can read.

Ansible takes no results with bytes that are not UTF-8, and a page or a log no control characters.
"""

from __future__ import annotations

import dataclasses

from ..common.messages import _, join
from .inventory import Inventory, readable


def printable(tree: Inventory) -> Inventory:
    """The same inventory with every name escaped for people.

    Names that look the same once escaped are told as a problem, so that two trees that differ in
    them never count as equal.
    """
    files = [dataclasses.replace(file, path=readable(file.path)) for file in tree.files]
    seen: set[str] = set()
    problems = list(tree.problems)
    for file in files:
        if file.path in seen:
            why = _("two names that look the same once escaped")
            problems.append(join([file.path, why], ": "))
        seen.add(file.path)
    return dataclasses.replace(tree, files=files, problems=problems)
