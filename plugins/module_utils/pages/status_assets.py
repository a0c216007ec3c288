# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Style and script of the status page, which is one file."""

from __future__ import annotations

import os

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# Of the script, as the page's Content-Security-Policy writes it. Not computed in each run, because
# loading a digest takes longer than making the page; a test compares it with the file.
SCRIPT_DIGEST = "sha256-qj5WAUmGGitQr41gTvWXbEwNzo4DxxgRgg0ow8QtImI="


def style() -> str:
    """Return the style sheet."""
    return _read("status.css")


def script() -> str:
    """Return the script."""
    return _read("status.js")


def _read(name: str) -> str:
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return file.read()
