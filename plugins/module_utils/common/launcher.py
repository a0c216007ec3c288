# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell scripts that start programs of the engine on a host.

`launch.py` reports on one line what is broken in an installation. What is broken in `launch.py`
itself, its script reports: the file is missing, is no Python, or ends before it has run a program.
The script stands in braces: a shell runs nothing of it where its end is missing.
"""

from __future__ import annotations

import shlex

# For every Python 3; NAME stands for what an error begins with. Nothing is imported from the folder
# that it is called from.
_START = """import sys
del sys.argv[0]
try:
    sys.path[0] = sys.argv[0].rpartition("/")[0]
    with open(sys.argv[0], "rb") as file:
        program = compile(file.read(), sys.argv[0], "exec")
    exec(program, {"__name__": "__main__", "__file__": sys.argv[0]})
    cause = "it ends before it has run a program"
except Exception as error:
    cause = type(error).__name__ + ": " + ascii(str(error))[1:-1]
cause = "the installation is broken: " + sys.argv[0] + ": " + cause
cause += " - run the stage\\47s playbook again"
if "--nagios" in sys.argv:
    print("UNKNOWN - " + cause)
sys.stderr.write("NAME: " + cause + chr(10))
sys.exit(3)
"""
_SCRIPT = """#!/bin/sh
{about}{{
{before}command -v {python} >/dev/null || {{
echo {name}": the installation is broken: "{python}" cannot be run -" \\
"run the stage's playbook again" >&2; exit 3; }}
exec {python} {options} -c {start} {launch} {program} {arguments}
}}
"""


def script(
    python: str,
    launch: str,
    program: str,
    arguments: str,
    *,
    name: str,
    options: str = "-E",
    about: str = "",
    before: str = "",
) -> str:
    """Return a shell script that runs a program of the engine.

    Args:
        python: path of the interpreter.
        launch: path of `launch.py`.
        program: module of the engine, such as `host_cli`.
        arguments: of the program, as the shell reads them.
        name: what an error begins with.
        options: of the interpreter. -E: no variable of the environment decides what is imported.
        about: what the script is for, one line.
        before: commands of the shell that run first.
    """
    return _SCRIPT.format(
        about=f"# {about}\n" if about else "",
        before=before,
        python=shlex.quote(python),
        name=shlex.quote(name),
        options=options,
        start=shlex.quote(_START.replace("NAME", name)),
        launch=shlex.quote(launch),
        program=program,
        arguments=arguments,
    )


def command_script(python: str, launch: str, command: str, config: str) -> str:
    """Return the shell script of a command on the host, which passes its own arguments on.

    Args:
        python: path of the interpreter.
        launch: path of `launch.py`.
        command: its name, such as `disk-status`.
        config: the file with its configuration.
    """
    words = f'{shlex.quote(command)} --config {shlex.quote(config)} "$@"'
    return script(python, launch, "host_cli", words, name=command)
