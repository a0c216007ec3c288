# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account that owns a copy, as which the server's commands work on it."""

from __future__ import annotations

import os
import pwd


def act_as_owner(folder: str) -> None:
    """Go on as the account that owns a copy, where root runs a command.

    What root writes there, the account's own job could not replace.

    Args:
        folder: of the copy; one that is missing, or that root owns, changes nothing.
    """
    if os.geteuid() != 0:
        return
    try:
        status = os.stat(folder)
    except OSError:
        return
    if status.st_uid == 0:
        return
    try:
        account = pwd.getpwuid(status.st_uid)
    except KeyError:  # the folder of an account that is gone
        os.setgroups([])
        os.setgid(status.st_gid)
    else:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
    os.setuid(status.st_uid)
