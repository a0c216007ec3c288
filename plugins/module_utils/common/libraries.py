# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries that are not Python's own: psycopg2, Jinja2, prometheus_client.

The launchers start Python with `-S`, without its `site` packages: to look for them takes a third of
an interpreter's start, and a run of the monitor needs none. What does need them asks here first.
"""

from __future__ import annotations

import site
import sys

_asked = False


def reach() -> None:
    """Makes the interpreter's installed packages importable, if it was started without them."""
    global _asked
    if sys.flags.no_site and not _asked:
        _asked = True

        site.main()
