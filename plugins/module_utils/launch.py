# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the engine by its path: `python3 -E .../launch.py host_cli COMMAND`.

Nothing is imported from the folder that it is called from, as `python3 -m` would do: it may belong
to somebody else. (Python 3.11 has the option -P for that, Python 3.9 has not.)
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

# The standard library's modules that a command's libraries import and hardly ever use, by command:
# those of one that runs often. `dataclasses` imports `inspect`, and that the parsers of Python.
POSTPONED = {"monitor-disk-space": ("inspect",)}


def postpone(name: str) -> None:
    """Have a module loaded at its first use (importlib, "Implementing lazy imports").

    Only for programs of one thread: two that use it first at the same time may both load it.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    engine = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(engine)
    package = os.path.basename(engine)
    for postponed in POSTPONED.get("".join(sys.argv[2:3]), ()):
        postpone(postponed)
    program = importlib.import_module(f"{package}.{sys.argv.pop(1)}")
    exit_code = program.main()
    # The work is done: a signal that still comes must not change the exit code.
    importlib.import_module(f"{package}.common.interrupt").ignore()
    getattr(program, "leave", sys.exit)(exit_code)
