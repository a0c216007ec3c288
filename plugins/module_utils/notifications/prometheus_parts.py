# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two parts of prometheus_client that a textfile needs, without its servers.

`import prometheus_client` also loads an HTTP server, TLS and the collectors of a process, of which
a textfile uses nothing: that took longer than all the rest of a run. So its modules are imported
one by one, beside a package that stays empty meanwhile. A version of the library that cannot be
taken apart so is imported whole.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

PACKAGE = "prometheus_client"


def parts() -> tuple[Any, Any]:
    """The class of a family of gauges, and the function that writes a registry as OpenMetrics.

    Raises:
        ImportError: the library is missing.
    """
    if PACKAGE in sys.modules:
        return _modules()
    empty = _empty_package()
    sys.modules[PACKAGE] = empty
    try:
        return _modules()
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
    finally:
        # Whoever imports the library later gets all of it.
        if sys.modules.get(PACKAGE) is empty:
            del sys.modules[PACKAGE]
    return _modules()


def _modules() -> tuple[Any, Any]:
    core = importlib.import_module(f"{PACKAGE}.metrics_core")
    exposition = importlib.import_module(f"{PACKAGE}.openmetrics.exposition")
    return core.GaugeMetricFamily, exposition.generate_latest


def _empty_package() -> ModuleType:

    spec = PathFinder.find_spec(PACKAGE)
    if spec is None:
        raise ImportError(f"No module named {PACKAGE!r}", name=PACKAGE)
    made = ModuleType(PACKAGE)
    made.__path__ = [*(spec.submodule_search_locations or ())]
    return made
