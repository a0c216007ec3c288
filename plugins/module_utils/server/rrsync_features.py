# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the server's own `rrsync` knows, for comparison with what the gate refuses.

`rrsync` comes with rsync and restricts a key to one folder. It got the options to refuse deletion
and overwriting in different releases.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..common import process
from ..common.errors import ResilienceError

# rrsync(1): write-only; no deletion; no overwriting of what is there.
OPTIONS = ("-wo", "-no-del", "-no-overwrite")
# Both the script in Python (rsync 3.2.4 and newer) and the one in Perl print this after they have
# parsed the options, so an option that causes another error is not known.
_OPTIONS_PARSED = "Not invoked via sshd"


def known(program: str = "rrsync", options: Sequence[str] = OPTIONS) -> list[str] | None:
    """Return which options this `rrsync` knows.

    It is called without a request, so it only parses its options.

    Args:
        program: its name or path.
        options: to try, each alone.

    Returns:
        The options that it knows, in their order; None where there is no such program.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    found = []
    for option in options:
        try:
            ended = process.run([program, option, os.sep], time_limit=60, env=env)
        except ResilienceError:
            return None
        if ended.code != 0 and _OPTIONS_PARSED in ended.errors:
            found.append(option)
    return found


def sentence(found: Sequence[str] | None) -> str:
    """Return one line for the server's log: what `rrsync` lacks, and that the gate refuses it."""
    if found is None:
        return "no rrsync here; the gate confines the key, and refuses deletion and overwriting"
    lacking = [option for option in OPTIONS if option not in found]
    if not lacking:
        return f"rrsync here knows {' '.join(OPTIONS)}; the gate refuses the same, and half files"
    return f"rrsync here lacks {' '.join(lacking)}; the gate gives the same guarantee without it"
