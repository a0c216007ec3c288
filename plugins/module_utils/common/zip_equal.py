# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk through series of equal length together: `zip(strict=True)` for Python 3.9."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def zip_equal(first: Iterable[A], second: Iterable[B], /) -> Iterator[tuple[A, B]]: ...


@overload
def zip_equal(
    first: Iterable[A], second: Iterable[B], third: Iterable[C], /
) -> Iterator[tuple[A, B, C]]: ...


def zip_equal(*series: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Return the first values of all series, then the second ones, and so on.

    Raises:
        ValueError: one of the series is shorter than another.
    """
    nothing = object()
    for values in itertools.zip_longest(*series, fillvalue=nothing):
        if any(value is nothing for value in values):
            raise ValueError("series of different lengths cannot be walked through together")
        yield values
