# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system, and programs that repeat it, say in English, for pages of every
language.

Other programs run with English messages, so that their endings can be told apart; `strerror` is
English in a process that sets no locale. In English the text stays as it was, to the letter.
"""

from __future__ import annotations

from .told import in_row, told

PHRASES = (
    # strerror(3), as ssh and rsync repeat it.
    told("No space left on device"),
    told("Permission denied"),
    told("No such file or directory"),
    told("Connection refused"),
    told("Connection timed out"),
    told("Operation timed out"),
    told("Connection reset by peer"),
    told("Broken pipe"),
    told("No route to host"),
    told("Network is unreachable"),
    told("Operation not permitted"),
    told("Read-only file system"),
    told("Disk quota exceeded"),
    told("Input/output error"),
    told("Not a directory"),
    told("Is a directory"),
    told("File exists"),
    told("File too large"),
    told("Too many open files"),
    told("Too many levels of symbolic links"),
    told("Stale file handle"),
    told("Device or resource busy"),
    told("Cannot allocate memory"),
    # getaddrinfo(3)
    told("Name or service not known"),
    told("Temporary failure in name resolution"),
    # Go's, in which rclone is written.
    told("no space left on device"),
    told("permission denied"),
    told("no such file or directory"),
    told("connection refused"),
    told("i/o timeout"),
    # What our own gate adds, on the server.
    told("the disk is full up to its reserve"),
)


def system_said(text: str) -> str:
    """A line of the system's or of a program's, in which the phrases above can be said in any
    language; what stands around them (paths, numbers) stays as it is."""
    for phrase in PHRASES:
        before, found, after = text.partition(phrase)
        if found:
            return in_row([system_said(before), phrase, system_said(after)], "")
    return text


def why(error: OSError) -> str:
    """Why the system refused something, for pages of every language."""
    return system_said(error.strerror or str(error))
