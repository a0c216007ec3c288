# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders that a drill unpacks into, and what one that was killed left of them."""

from __future__ import annotations

import os
import shutil
import tempfile

from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason
from ..staging import staging

UNPACKED_PREFIX = "unpacked-"


def make(work_dir: str) -> str:
    try:
        folder = tempfile.mkdtemp(prefix=UNPACKED_PREFIX, dir=work_dir)
        # Whoever restores is not root, and must reach what was unpacked; others cannot list it.
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
    removed = []
    for name in sorted(os.listdir(work_dir)) if os.path.isdir(work_dir) else []:
        if name.startswith(UNPACKED_PREFIX):
            folder = os.path.join(work_dir, name)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"unpacked backup in {folder}")
    return removed


def remove_leftovers(settings: staging.StagingSettings) -> None:
    """Removes what a drill that was killed left; we hold the lock, so none runs."""
    remove_unpacked(settings.work_dir)
    note = staging.read_note(settings)
    if note is None or not note.kept:
        staging.remove(settings)
