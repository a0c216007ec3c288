# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Translate error messages of the operating system, and of programs that repeat them.

Other programs run with English messages, so that they can be recognized; `strerror` is English in a
process that sets no locale. In English the text stays as it was, to the letter.
"""

from __future__ import annotations

from .errors import ResilienceError
from .messages import _, join

PHRASES = (
    # strerror(3), as ssh and rsync repeat it.
    _("No space left on device"),
    _("Permission denied"),
    _("No such file or directory"),
    _("Connection refused"),
    _("Connection timed out"),
    _("Operation timed out"),
    _("Connection reset by peer"),
    _("Broken pipe"),
    _("No route to host"),
    _("Network is unreachable"),
    _("Operation not permitted"),
    _("Read-only file system"),
    _("Disk quota exceeded"),
    _("Input/output error"),
    _("Not a directory"),
    _("Is a directory"),
    _("File exists"),
    _("File too large"),
    _("Too many open files"),
    _("Too many levels of symbolic links"),
    _("Stale file handle"),
    _("Device or resource busy"),
    _("Cannot allocate memory"),
    # getaddrinfo(3)
    _("Name or service not known"),
    _("Temporary failure in name resolution"),
    # Go's, in which rclone is written.
    _("no space left on device"),
    _("permission denied"),
    _("no such file or directory"),
    _("connection refused"),
    _("i/o timeout"),
    # Of the gate on the backup server.
    _("the disk is full up to its reserve"),
)


def system_message(text: str) -> str:
    """Return a line of the system's or of a program's in which the phrases above translate.

    What stands around them (paths, numbers) stays as it is.
    """
    for phrase in PHRASES:
        before, found, after = text.partition(phrase)
        if found:
            return join([system_message(before), phrase, system_message(after)], "")
    return text


def reason(error: Exception) -> str:
    """Return why the system, a library or the engine refused something; the text translates."""
    if isinstance(error, ResilienceError):
        return error.message()
    return system_message(getattr(error, "strerror", None) or str(error))
