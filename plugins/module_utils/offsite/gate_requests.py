# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the gate of the backup server, as a client sends them."""

from __future__ import annotations

from collections.abc import Sequence


def listing(tiers: Sequence[str], *, digests: bool = False) -> list[str]:
    """Return the request for a list of the backups.

    Args:
        tiers: the tiers to list.
        digests: whether the same command takes names of backups afterwards and digests them. A gate
            that does not know this word ends after the list.
    """
    return ["chefwell-list", *tiers, *(("--digest",) if digests else ())]
