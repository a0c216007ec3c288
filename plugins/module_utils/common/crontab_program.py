# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write a crontab by the program of that name, for modules; its lines: crontab.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import crontab

# The argument spec of a module's list of entries.
ENTRIES_SPEC: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "job": {"type": "str", "required": True},
        "minute": {"type": "str", "default": "*"},
        "hour": {"type": "str", "default": "*"},
        "weekday": {"type": "str", "default": "*"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    },
}


def pending(
    module: Any, entries: Iterable[Mapping[str, Any]], user: str | None = None
) -> tuple[list[str], list[str]]:
    """Return the lines of a crontab as they are, and as they should be.

    The module fails where the crontab cannot be read, or an entry is needed and there is no cron.

    Args:
        module: that runs.
        entries: of its arguments, see `ENTRIES_SPEC`.
        user: whose crontab it is; by default that of the user who runs this.
    """
    requested = list(entries)
    present = [one for one in requested if one["state"] == "present"]
    program = module.get_bin_path("crontab")
    if not program:
        if present:
            module.fail_json(
                msg="crontab was not found on this host - install cron (Debian) or cronie (RHEL)"
            )
        return [], []
    # A crontab is bytes: lines of others may be in any encoding.
    code, output, errors = module.run_command(
        [program, *_of(user), "-l"], encoding="utf-8", errors="surrogateescape"
    )
    if code != 0 and "no crontab for" not in errors:
        if not present and "unknown" in errors:
            return [], []  # the account is gone, and its crontab with it
        module.fail_json(msg=f"the crontab cannot be read: {errors.strip()} [user={user!r}]")
    before = after = output.splitlines() if code == 0 else []
    for one in requested:
        schedule = f"{one['minute']} {one['hour']} * * {one['weekday']}"
        there = one["state"] == "present"
        after = crontab.with_entry(after, one["name"], one["job"], schedule if there else None)
    return before, after


def write(module: Any, lines: list[str], user: str | None = None) -> None:
    """Write a crontab; fails the module where that cannot be done."""
    command = [module.get_bin_path("crontab"), *_of(user)]
    if lines:
        text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        code, _output, errors = module.run_command([*command, "-"], data=text, binary_data=True)
    else:
        code, _output, errors = module.run_command([*command, "-r"])
    if code != 0:
        module.fail_json(msg=f"the crontab cannot be written: {errors.strip()}")


def diff(before: list[str], after: list[str]) -> dict[str, str]:
    """Return what `--diff` shows: bytes that are no UTF-8 written out."""
    return {"before": _shown(before), "after": _shown(after)}


def _of(user: str | None) -> list[str]:
    return ["-u", user] if user else []


def _shown(lines: list[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
