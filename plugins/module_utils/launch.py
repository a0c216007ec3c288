# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the engine by its path: `python3 -E .../launch.py host_cli COMMAND`.

Nothing is imported from the folder that it is called from, as `python3 -m` would do: it may belong
to another user. (Python 3.11 has the option -P for that, Python 3.9 has not.)
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

# Commands that look at filesystems, any of which may block for ever: they have a supervisor. It
# starts before their code is loaded, which its child alone holds then.
SUPERVISED = ("monitor-disk-space", "disk-status")


def supervised(package: str, name: str) -> NoReturn:
    """Run a program in a child process that is left behind when it blocks, and end this one."""
    supervisor = importlib.import_module(f"{package}.commands.supervisor")
    end = supervisor.supervise(lambda: importlib.import_module(f"{package}.{name}").main())
    code = end.code
    if code is None:
        code = importlib.import_module(f"{package}.{name}").unfinished(end.problem)
    # The work is done: a signal that still comes must not change the exit code.
    importlib.import_module(f"{package}.common.interrupt").ignore()
    raise SystemExit(code)


def in_utf_8() -> None:
    """Start this program again where names of files would be written in the locale's encoding.

    Under a locale such as pt_BR.ISO-8859-1 Python looks for other files than the configuration
    names, or for none: an encoding is no part of a file's name.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        words = ["-E"] if sys.flags.ignore_environment else []
        os.execv(sys.executable, [sys.executable, *words, "-X", "utf8", *sys.argv])


if __name__ == "__main__":
    in_utf_8()
    engine = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(engine)
    package = os.path.basename(engine)
    name = sys.argv.pop(1)
    if sys.argv[1:2] and sys.argv[1] in SUPERVISED:
        supervised(package, name)
    exit_code = importlib.import_module(f"{package}.{name}").main()
    # The work is done: a signal that still comes must not change the exit code.
    importlib.import_module(f"{package}.common.interrupt").ignore()
    raise SystemExit(exit_code)
