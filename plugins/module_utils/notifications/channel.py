# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from a run to people's services, which is loaded only where one is configured.

What decides on notifications runs everywhere and often; what delivers them (processes, threads,
digests of addresses) takes as long to load as all the rest of a run of the disk monitor.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def load(name: str) -> ModuleType:
    """Return a module of this folder: `sending` or `delivery`."""
    return importlib.import_module(f".{name}", __package__)
