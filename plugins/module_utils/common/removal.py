# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a path, whatever it is."""

from __future__ import annotations

import os
import shutil


def remove_path(path: str) -> None:
    """Remove a file, a link or a whole folder.

    Raises:
        OSError: it is not there, or cannot be removed.
    """
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
