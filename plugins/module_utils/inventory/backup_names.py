# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of backups, and the time at which each was taken by its name."""

from __future__ import annotations

import datetime
import functools
import re

from ..common.errors import ResilienceError

# The names of the plan, with any prefix. Groups `date` and `time` are when a backup was taken.
# A file name may hold a newline, which `.` and `$` would stumble over.
PATTERN = r"^(?s:.+)_(?P<date>\d{8})_(?P<time>\d{6})\.(dump|sql|tar)(\.(gz|zst|xz|lz4))?\Z"
# The ending of a backup that age encrypted.
SEALED = ".age"
# Files that belong to a backup, by what stands behind its name.
COMPANIONS = (".manifest.json", ".roles.sql", ".sha256")
# What strftime(3) writes for a directive, as far as a backup's name has use for it.
DIRECTIVES = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
}
SHORT = {"F": "%Y-%m-%d", "T": "%H:%M:%S"}


# The names that the documentation gives to the output of pg_dumpall.
ROLES_NAME = re.compile(r"(?i)(?:roles|globals)[_.-].*\.sql(?:\.\w+)?\Z", re.DOTALL)


def names_roles(name: str) -> bool:
    """Return whether a file's name is one that saved roles have."""
    return ROLES_NAME.match(name) is not None


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the expression for the names of backups.

    Args:
        pattern: as strftime(3) writes names (`bistro-%Y-%m-%d.sql.gz`) if it holds a `%`; otherwise
            a regular expression with the groups `date` and `time`, matched from the name's
            beginning. Empty for the plan's names, `PATTERN`.

    Raises:
        ResilienceError: it is neither.
    """
    if "%" in pattern:
        return re.compile(_of_strftime(pattern))
    try:
        return re.compile(pattern or PATTERN)
    except re.error as error:
        raise ResilienceError(
            f"the pattern is no regular expression: {error}",
            option="backup_pattern",
            value=pattern,
            remedy="write the names as strftime does, such as shop-%Y-%m-%d.sql.gz, or a regular"
            " expression as Python's re module reads it",
        ) from error


def _of_strftime(pattern: str) -> str:
    for short, long in SHORT.items():
        pattern = pattern.replace(f"%{short}", long)
    parts, seen = [], set()
    for piece in re.split(r"(%.?)", pattern):
        directive = piece[1:]
        if not piece.startswith("%"):
            parts.append(re.escape(piece))
        elif directive == "%":
            parts.append("%")
        elif directive in seen:
            parts.append(f"(?P={directive})")
        elif directive in DIRECTIVES:
            parts.append(f"(?P<{directive}>{DIRECTIVES[directive]})")
            seen.add(directive)
        else:
            known = " ".join(f"%{one}" for one in (*DIRECTIVES, *SHORT, "%"))
            raise ResilienceError(
                f"the pattern has a directive that is not known: {piece!r}",
                option="backup_pattern",
                value=pattern,
                remedy=f"use {known}, or write a regular expression",
            )
    if "Y" in seen and not {"m", "d"} <= seen:
        raise ResilienceError(
            "the pattern names a year without its day",
            option="backup_pattern",
            value=pattern,
            remedy="write the whole date, such as shop-%Y-%m-%d.sql.gz",
        )
    return "".join(parts) + r"\Z"


def match_name(name: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """Return the match of a backup's file name, or None; the rule of client and server.

    A hidden file is never a backup: rsync and others write their temporary files under such names.
    Nor is a file that belongs to one.
    A sealed backup has the name of the plain one and an ending, which the match leaves out.

    Args:
        name: of a file, without its folder.
        pattern: of `compiled`.
    """
    if name.startswith(".") or "/" in name or "\0" in name:
        return None
    if name.endswith(COMPANIONS):  # a pattern may leave a name's end open
        return None
    found = pattern.match(name)
    if found is None and name.endswith(SEALED):
        found = pattern.match(name[: -len(SEALED)])
    return found


def taken_at(match: re.Match[str]) -> str | None:
    """Return when a backup was taken, local ISO 8601, by its name; None where the name has no time.

    Only digits count, whatever stands between them; a name without a time stands for the day's
    beginning.

    Args:
        match: of an expression of `compiled`.
    """
    names = match.re.groupindex
    if "date" in names and "time" in names and "Y" not in names:  # most often, and all digits
        date, hour = match.group("date", "time")
        if date and hour and len(date) == 8 and len(hour) == 6:
            both = date + hour
            if both.isascii() and both.isdecimal():
                return _moment(date, hour)
    groups = match.groupdict("")
    if "Y" in groups:
        date = groups["Y"] + groups["m"] + groups["d"]
        hour = "".join(groups.get(part) or "00" for part in "HMS")
    else:
        date, hour = _digits(groups.get("date", "")), _digits(groups.get("time", "")).ljust(6, "0")
    if len(date) != 8 or len(hour) != 6:
        return None
    return _moment(date, hour)


def _moment(date: str, hour: str) -> str | None:
    """Return the moment of eight and six ASCII digits; None where there is no such one."""
    day = _day(date)
    if not day or hour[:2] > "23" or hour[2:4] > "59" or hour[4:] > "59":
        return None
    return f"{day}T{hour[:2]}:{hour[2:4]}:{hour[4:]}"


@functools.lru_cache(maxsize=4096)
def _day(date: str) -> str:
    """Return a day as ISO 8601 writes it; empty where the calendar has none such."""
    text = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    try:
        # strptime says the same, but takes ten times as long.
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text


def _digits(text: str) -> str:
    return text if text.isdecimal() and text.isascii() else re.sub(r"\D", "", text)
