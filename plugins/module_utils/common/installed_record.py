# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was installed on a host, by path, so that a path that changes leaves nothing behind.

The record lies beside the configuration of a stage. Without it, a file under an earlier path could
be found neither by the next run nor by the rollback.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable

from .removal import remove_path

# The engine's own folder, the only one that is removed with what it holds.
PACKAGE = "chefwell_resilience"


def record_of(config_file: str) -> str:
    """Return the record that belongs to a configuration; no stage's configuration ends so."""
    return f"{os.path.splitext(config_file)[0]}.installed"


def recorded(record: str) -> list[str] | None:
    """Return the paths in a record; None where there is none that can be read."""
    try:
        with open(record, encoding="utf-8") as file:
            held = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return [str(path) for path in held] if isinstance(held, list) else None


def text(paths: Iterable[str]) -> str:
    """Return what the record of these paths holds."""
    return json.dumps(sorted(set(paths)), indent=4, ensure_ascii=False) + "\n"


def left_behind(before: Iterable[str] | None, now: Collection[str]) -> list[str]:
    """Return the recorded paths that are there and no longer installed."""
    return [path for path in before or () if path not in now and _removable(path)]


def remove(paths: Iterable[str]) -> None:
    """Remove files, the engine's folder, and the folders of commands that are empty then.

    Raises:
        OSError: one cannot be removed.
    """
    for path in paths:
        remove_path(path)
        folder = os.path.dirname(path)
        # A folder of others, such as that of the backups, stays.
        own = path.endswith(".sh") or os.path.basename(path) == PACKAGE
        if own and not os.listdir(folder):
            os.rmdir(folder)


def _removable(path: str) -> bool:
    if os.path.islink(path) or os.path.isfile(path):
        return True
    return os.path.basename(path) == PACKAGE and os.path.isdir(path)
