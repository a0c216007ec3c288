# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders that a drill or a recovery unpacks into, and those that a killed one left."""

from __future__ import annotations

import os
import shutil
import tempfile

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..staging import staging, staging_state

UNPACKED_PREFIX = "unpacked-"


def make(work_dir: str) -> str:
    """Make a folder in the work folder, and return its path.

    Raises:
        ResilienceError: the work folder cannot be used.
    """
    try:
        folder = tempfile.mkdtemp(prefix=UNPACKED_PREFIX, dir=work_dir)
        # The restore does not run as root, and must reach what was unpacked; others cannot list it.
        os.chmod(folder, 0o711)
    except OSError as error:
        raise ResilienceError(
            _("the work folder cannot be used: %(why)s", why=reason(error)),
            option="work_dir",
            value=work_dir,
            remedy=_("make room there, or name another folder"),
        ) from error
    return folder


def remove_unpacked(work_dir: str) -> list[str]:
    """Remove all such folders, and return their names. Only for the holder of the lock."""
    removed = []
    for name in sorted(os.listdir(work_dir)) if os.path.isdir(work_dir) else []:
        if name.startswith(UNPACKED_PREFIX):
            folder = os.path.join(work_dir, name)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"unpacked backup in {folder}")
    return removed


def remove_leftovers(settings: staging.StagingSettings) -> None:
    """Remove what a killed drill left. Only for the holder of the lock, so that none runs."""
    remove_unpacked(settings.work_dir)
    state = staging_state.read(settings)
    if state is None or not state.kept:
        staging_state.remove(settings)
