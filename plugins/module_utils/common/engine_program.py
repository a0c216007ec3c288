# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the engine starts a program of its own: a file of it, in another process.

It is started in `/`: with -m, Python imports from the folder that it starts in, and that one is
root's alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

FOLDER = "/"


def command(module: str) -> list[str]:
    """Return the command line that runs a module of the engine, given its whole name."""
    # What this process imports from is in the environment: the user's own folder needs no search.
    return [sys.executable, "-s", "-m", module]


def environment(inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which that module, and what it imports, is found.

    Args:
        inherited: what it is based on; this process's environment when left out.
    """
    return {
        **(os.environ if inherited is None else inherited),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
