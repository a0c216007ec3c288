# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of the engine by its path: `python3 -E .../launch.py host_cli COMMAND`.

Nothing is imported from the folder that it is called from, as `python3 -m` would do: it may belong
to another user. (Python 3.11 has the option -P for that, Python 3.9 has not.)

An installation may be broken: a file is missing or half-written, a library is gone, this Python is
too old. That is one line with cause and remedy, too. So this file loads in every Python 3 (no
`from __future__ import annotations`, no f-strings) and imports the rest where it is caught.
"""

import importlib
import os
import sys

# The oldest Python that the engine runs on.
OLDEST = (3, 9)
# No result: the exit code of every error.
UNKNOWN = 3
# Commands that look at filesystems, any of which may block for ever: they have a supervisor. It
# starts before their code is loaded, which its child alone holds then.
SUPERVISED = ("monitor-disk-space", "disk-status")


def supervised(package: str, name: str) -> int:
    """Run a program in a child process that is left behind when it blocks, and end this one."""
    supervisor = importlib.import_module(package + ".commands.supervisor")
    end = supervisor.supervise(lambda: importlib.import_module(package + "." + name).main())
    code = end.code
    if code is None:
        code = importlib.import_module(package + "." + name).unfinished(end.problem)
    # The work is done: a signal that still comes must not change the exit code.
    importlib.import_module(package + ".common.interrupt").ignore()
    return int(code)


def in_utf_8() -> None:
    """Start this program again where names of files would be written in the locale's encoding.

    Under a locale such as pt_BR.ISO-8859-1 Python looks for other files than the configuration
    names, or for none: an encoding is no part of a file's name.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        words = ["-E"] if sys.flags.ignore_environment else []
        os.execv(sys.executable, [sys.executable] + words + ["-X", "utf8"] + sys.argv)


def run(package: str, name: str) -> int:
    """Run a program whose arguments are those of this process; return its exit code."""
    if sys.argv[1:2] and sys.argv[1] in SUPERVISED:
        return supervised(package, name)
    exit_code = importlib.import_module(package + "." + name).main()
    # The work is done: a signal that still comes must not change the exit code.
    importlib.import_module(package + ".common.interrupt").ignore()
    return int(exit_code)


def problem(package: str, error: BaseException) -> str:
    """Return what made a program fail before its own code could report it, and the remedy."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped before the end"
    try:
        return str(importlib.import_module(package + ".common.unforeseen").report(error))
    except Exception:  # what describes errors is broken, too
        text = "".join(one if one.isprintable() else "?" for one in str(error))
        cause = "the installation is broken: " + type(error).__name__ + ": " + text
        return cause + " - run the stage's playbook again"


def report(text: str) -> None:
    """Write one line to standard error, and where a monitoring system reads it."""
    name = (sys.argv[1:2] or [os.path.basename(sys.argv[0])])[0]
    streams = [(sys.stderr, name + ": " + text)]
    if "--nagios" in sys.argv:
        streams.append((sys.stdout, "UNKNOWN - " + text))
    for stream, line in streams:
        try:
            stream.write(line + "\n")
            stream.flush()
        except (AttributeError, OSError):  # it is closed
            pass


def main() -> int:
    """Run the program that the arguments name; return its exit code."""
    if not sys.argv[1:]:
        report("usage: launch.py PROGRAM [ARGUMENT...]")
        return UNKNOWN
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST:
        sys.argv.pop(1)
        text = sys.executable + " is Python " + version + ", and 3.9 or newer is needed"
        report(text + " - name a newer one in host_kit_python and run the stage's playbook again")
        return UNKNOWN
    engine = os.path.dirname(os.path.abspath(__file__))
    package = os.path.basename(engine)
    # The supervisor's child reports by it, too.
    sys.excepthook = lambda kind, error, place: report(problem(package, error))
    try:
        in_utf_8()
        sys.path[0] = os.path.dirname(engine)
        return run(package, sys.argv.pop(1))
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        report(problem(package, error))
        return UNKNOWN


if __name__ == "__main__":
    raise SystemExit(main())
