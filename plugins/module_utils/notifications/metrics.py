# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus metrics in a textfile for node_exporter's textfile collector, written atomically."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.messages import _
from ..common.system_errors import reason


class Gauge(NamedTuple):
    """One value of one metric. A value of None is left out: unknown is not 0."""

    name: str
    help: str
    value: float | None
    labels: Mapping[str, str] = MappingProxyType({})


def validate_path(path: str, example: str) -> None:
    """Check the path of a textfile.

    Args:
        path: may be empty, for none.
        example: a good name, for the remedy.

    Raises:
        ResilienceError: node_exporter would not read it.
    """
    if path and not path.endswith(".prom"):
        raise ResilienceError(
            "node_exporter reads only textfiles whose name ends in .prom",
            option="metrics_file",
            value=path,
            remedy=f"give it a name such as {example}",
        )


def beside(path: str, subject: str) -> str:
    """Return the textfile of another job of the same stage, beside the stage's; empty for none."""
    return path and f"{path.removesuffix('.prom')}_{subject}.prom"


def available() -> bool:
    """Return whether the library is installed that writes the textfiles."""
    return importlib.util.find_spec("prometheus_client") is not None


def write_or_report(path: str, gauges: Callable[[], Sequence[Gauge]], problems: list[str]) -> None:
    """Write a textfile, if one is configured.

    Args:
        path: the textfile; empty for none.
        gauges: returns the metrics.
        problems: the reason why they could not be written is added here, as text.
    """
    if path:
        try:
            write(path, gauges())
        except ResilienceError as error:
            problems.append(error.message())


def write(path: str, gauges: Iterable[Gauge]) -> None:
    """Write a textfile, in place of the one that is there.

    Args:
        path: must end in `.prom`, or the collector does not read it.
        gauges: those of one name have the same label names.

    Raises:
        ResilienceError: the library is missing, or the file cannot be written.
    """
    try:
        import prometheus_client  # a host may lack it
    except ImportError as error:
        raise ResilienceError(
            _("the metrics cannot be written: %(why)s", why=str(error)),
            option="metrics_file",
            value=path,
            remedy=_("install prometheus_client (Debian: apt install python3-prometheus-client)"),
        ) from error
    registry = prometheus_client.CollectorRegistry()
    families: dict[str, prometheus_client.Gauge] = {}
    for gauge in gauges:
        if gauge.value is None:
            continue
        if gauge.name not in families:
            families[gauge.name] = prometheus_client.Gauge(
                gauge.name, gauge.help, [*gauge.labels], registry=registry
            )
        family = families[gauge.name]
        if gauge.labels:
            family = family.labels(**{key: _utf8(text) for key, text in gauge.labels.items()})
        family.set(gauge.value)
    content = prometheus_client.generate_latest(registry)
    try:
        replace_file(path, content, mode=0o644)  # node_exporter runs as another user
    except OSError as error:
        raise ResilienceError(
            _("the metrics cannot be written: %(why)s", why=reason(error)),
            option="metrics_file",
            value=path,
            remedy=_("name a file in the folder of node_exporter's textfile collector"),
        ) from error


def _utf8(text: str) -> str:
    """Return a text without what is no Unicode: a path may hold bytes that are none."""
    return text.encode("utf-8", "backslashreplace").decode()
