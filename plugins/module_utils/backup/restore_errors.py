# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sort the errors of a restore: data lost, harmless, or a failure of the environment."""

from __future__ import annotations

import re

from ..common.errors import ResilienceError
from ..common.messages import _

# What a restore may report without anything being lost: each with the reason.
HARMLESS = (
    # Dumps made before PostgreSQL 15, or with --clean, create what every database has.
    re.compile(r'schema "public" already exists'),
    # Comments on extensions belong to the extension's owner; they are no data.
    re.compile(r"must be owner of extension"),
)
# Errors of the environment (server, machine) and not of the backup: no room, no memory, a server
# that was ended (errors of the classes 53, 57 and 08 in the manual, "PostgreSQL Error Codes").
ENVIRONMENT_FAILED = re.compile(
    r"No space left on device|Disk quota exceeded|could not extend file|out of (?:shared )?memory"
    r"|server closed the connection unexpectedly|terminating connection (?:due to|because of)"
    r"|the database system is (?:shutting down|starting up|in recovery mode|not yet accepting)"
)
# What a client reports that has no session, or loses what it waits for: also the environment.
NO_SESSION = re.compile(
    r"connection to server .* failed|could not connect|the connection was lost"
    r"|canceling statement due to|deadlock detected|too many connections|remaining connection slots"
)
# PostgreSQL ends one of two processes that wait for each other.
DEADLOCK = re.compile(r"deadlock detected")
# pg_restore begins each of its messages so.
_BEGINS = re.compile(r"^(?=pg_restore[:\s])", re.MULTILINE)


def is_harmless(error: str) -> bool:
    """Return whether an error means no loss of data.

    Args:
        error: in English, with the statement that failed.
    """
    return any(known.search(error) for known in HARMLESS)


def is_environment_error(error: str) -> bool:
    """Return whether an error says something about the server or the machine, not the backup.

    Args:
        error: in English, as a client program reports it.
    """
    return bool(ENVIRONMENT_FAILED.search(error) or NO_SESSION.search(error))


def may_be_of_order(text: str) -> bool:
    """Return whether one process of pg_restore may restore what several could not.

    Several take entries in another order than the archive's. pg_dump does not note all that an
    entry needs (as the trigger of a partition that is switched off needs the one of the table
    above), and two may stand in each other's way, as two that attach indexes to partitions of one
    table. So an error of several says nothing of the backup.

    Args:
        text: the standard error of pg_restore.
    """
    errors, _harmless = classify(text)
    place = any(is_environment_error(DEADLOCK.sub("", error)) for error in errors)
    return bool(DEADLOCK.search(text) or (errors and not place))


def classify(text: str) -> tuple[list[str], list[str]]:
    """Return the errors that pg_restore reported: those that lose something, and harmless ones.

    Args:
        text: the program's standard error, in English.
    """
    errors: list[str] = []
    harmless: list[str] = []
    for block in _BEGINS.split(text):
        first = block.strip()
        if not re.search(r"\b(error|ERROR|FATAL|PANIC):", first):
            continue
        lines = [line.strip() for line in first.splitlines() if line.strip()]
        (harmless if is_harmless(first) else errors).append(" ".join(lines)[:400])
    return errors, harmless


def cut_off(why: str) -> ResilienceError:
    """Return the error for a program that was ended from outside while it read the backup."""
    return ResilienceError(
        _("a program that reads the backup was cut off: %(why)s", why=why[:300]),
        remedy=_("look whether the Docker engine runs and memory suffices, and try again"),
    )


def environment_failure(why: str) -> ResilienceError:
    """Return the error for a server that failed, which proves nothing about the backup."""
    return ResilienceError(
        _("the server that restores the backup failed: %(why)s", why=why[:300]),
        remedy=_("give staging more room and memory, and look whether its server runs"),
    )
