# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus metrics in a textfile for node_exporter's textfile collector, written atomically."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ..common import libraries
from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.system_errors import reason
from . import prometheus_parts


@dataclasses.dataclass(frozen=True)
class Gauge:
    """One value of one metric. A value of None is left out: unknown is not 0."""

    name: str
    help: str
    value: float | None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


class _Registry:
    """What was measured, as the library asks for it."""

    def __init__(self, families: Iterable[Any]) -> None:
        self.families = families

    def collect(self) -> Iterable[Any]:
        return self.families


def write(path: str, gauges: Iterable[Gauge]) -> None:
    """Writes a textfile in place of the one that is there.

    Args:
        path: must end in `.prom`, or the collector does not read it.
        gauges: those of one name have the same label names.

    Raises:
        ResilienceError: the library is missing, or the file cannot be written.
    """
    libraries.reach()
    try:
        family, generate = prometheus_parts.parts()
    except ImportError as error:
        raise ResilienceError(
            f"the metrics cannot be written: {error}",
            option="metrics_file",
            value=path,
            remedy="install prometheus_client (Debian: apt install python3-prometheus-client)",
        ) from error
    families: dict[str, Any] = {}
    for gauge in gauges:
        if gauge.value is None:
            continue
        if gauge.name not in families:
            families[gauge.name] = family(gauge.name, gauge.help, labels=[*gauge.labels])
        families[gauge.name].add_metric(
            [label.encode("utf-8", "backslashreplace").decode() for label in gauge.labels.values()],
            gauge.value,
        )
    # A gauge is written alike in OpenMetrics and in the textfile's older format, but for the end.
    content: bytes = generate(_Registry(families.values())).removesuffix(b"# EOF\n")
    try:
        replace_file(path, content, mode=0o644)  # node_exporter runs as another user
    except OSError as error:
        raise ResilienceError(
            f"the metrics cannot be written: {reason(error)}",
            option="metrics_file",
            value=path,
            remedy="name a file in the folder of node_exporter's textfile collector",
        ) from error
