# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what the shapes of `structure.Structure` have in common once, also while they are read.

Thousands of tenants may differ in one view, or in their owners, and have all else alike.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..common.json_stream import Take

# Kind, name and definition of the objects of one schema.
Shape = dict[str, dict[str, str]]


class AlikeObjects:
    """Finds objects of one kind that several shapes have alike."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, str]] = {}

    def shared(self, shape: Shape) -> Shape:
        """Return a shape after it got the objects that earlier ones have as well."""
        for kind, named in shape.items():
            like = self._known.setdefault(hash(tuple(named.items())), named)
            if like is not named and like == named:
                shape[kind] = like
        return shape

    def read(self, shape: Shape) -> Shape:
        """Return the same of a shape that was read from JSON, where each text is its own.

        Raises:
            TypeError, AttributeError: it is no shape.
        """
        for named in shape.values():
            for name, text in named.items():
                named[name] = sys.intern(text)
        return self.shared(shape)


class ShapeReader:
    """Takes the shapes of several structures from one JSON file, one by one.

    Args:
        names: of the structures in the file's value.

    Attributes:
        large: for `json_stream.load`.
    """

    def __init__(self, *names: str) -> None:
        self._found: dict[str, dict[str, Shape]] = {name: {} for name in names}
        self._alike = AlikeObjects()
        self.large: dict[tuple[str, ...], Take] = {
            (name, "shapes"): functools.partial(self._take, name) for name in names
        }

    def _take(self, name: str, identifier: str, shape: Any) -> None:
        self._found[name][identifier] = self._alike.read(shape)

    def put_into(self, values: Mapping[str, Any]) -> None:
        """Put the shapes where they stood.

        Args:
            values: what `json_stream.load` returned.
        """
        for name, shapes in self._found.items():
            if shapes:
                values[name]["shapes"] = shapes


def streamed(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return plain values of which `json_stream` writes the shapes of structures part by part.

    Args:
        values: with the structures, as `Structure.to_dict` returns them.
        names: of the structures; one that is empty or None is left as it is.
    """
    shown = dict(values)
    for name in names:
        if held := shown.get(name):
            shown[name] = {**held, "shapes": MappingProxyType(held["shapes"])}
    return shown
