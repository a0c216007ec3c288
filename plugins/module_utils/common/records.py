# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses that cost next to nothing to start with, for what a run of the monitor loads.

`dataclasses` imports `inspect` and compiles methods for each class: of a run that takes 40 ms, that
is 15. What is written here with the same words is a class with the same constructor, equality and
representation; the type checker is told that it is a dataclass, and `dataclasses.replace`, `asdict`
and `fields` work on it, since that library is loaded as soon as it looks for the fields.

Code that no run of the monitor loads uses `dataclasses` itself.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` knows it too, and takes as long to import as all of this house
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import asdict, dataclass, field, replace
    from typing import Any

    __all__ = ["asdict", "dataclass", "field", "replace"]
else:

    class field:  # its name in `dataclasses`
        """A value that is made anew for each object."""

        def __init__(self, *, default_factory, repr=True, compare=True):
            self.default_factory, self.repr, self.compare = default_factory, repr, compare

    def dataclass(*, frozen):
        """Makes a class of the annotations of another, as `dataclasses.dataclass` does."""
        if not frozen:
            raise ValueError("a record is frozen")
        return _made

    def replace(record, **changes):
        """A copy with other values."""
        return type(record)(**{**record.__dict__, **changes})

    def asdict(record):
        """Plain values, of records within it too."""
        return {name: _plain(value) for name, value in record.__dict__.items()}


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (str, int, float, bool, type(None)):
        return value
    if kind is dict:
        return {key: _plain(held) for key, held in value.items()}
    if kind in (list, tuple):
        return kind(_plain(held) for held in value)
    return asdict(value) if "__dataclass_fields__" in kind.__dict__ else value


class _Fields:
    """What `dataclasses` looks for; made when it first does, which is when it has been loaded."""

    def __init__(self, kinds: dict[str, str]) -> None:
        self.kinds = kinds

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses  # who asks for it has it

        made: Any = dataclasses.make_dataclass(owner.__name__, self.kinds.items())
        # In our own place: it is looked for at each copy, and there are as many as there are files.
        owner.__dataclass_fields__ = made.__dataclass_fields__  # type: ignore[attr-defined]
        return made.__dataclass_fields__


def _maker(default: Any) -> Callable[[], Any]:
    made: Callable[[], Any] = getattr(default, "default_factory", None) or (lambda: default)
    return made


def _made(base: type) -> type:
    kinds = dict(base.__annotations__)
    names = tuple(kinds)
    defaults = {name: base.__dict__[name] for name in names if name in base.__dict__}
    for name, default in defaults.items():
        if hasattr(default, "default_factory"):
            delattr(base, name)

    def create(self: Any, *given: Any, **named: Any) -> None:
        if len(given) > len(names):
            raise TypeError(f"{base.__name__} takes {len(names)} values, not {len(given)}")
        first = dict(zip(names, given, strict=False))
        wrong = [name for name in named if name in first or name not in kinds]
        if wrong:
            raise TypeError(f"{base.__name__} has no {', '.join(wrong)}, or has it already")
        held = self.__dict__
        for name in names:
            if name in first:
                held[name] = first[name]
            elif name in named:
                held[name] = named[name]
            elif name in defaults:
                held[name] = _maker(defaults[name])()
            else:
                raise TypeError(f"{base.__name__} lacks {name}")

    compared = [name for name in names if getattr(defaults.get(name), "compare", True)]
    shown = [name for name in names if getattr(defaults.get(name), "repr", True)]

    def values(self: Any) -> tuple[Any, ...]:
        return tuple(self.__dict__[name] for name in compared)

    def equal(self: Any, other: object) -> Any:
        same = self.__class__ is other.__class__
        return values(self) == values(other) if same else NotImplemented

    def written(self: Any) -> str:
        told = ", ".join(f"{name}={self.__dict__[name]!r}" for name in shown)
        return f"{base.__name__}({told})"

    def hashed(self: Any) -> int:
        return hash(values(self))

    def refuse(self: Any, name: str, _value: object = None) -> None:
        raise AttributeError(f"cannot assign to or delete {name!r} of a {base.__name__}")

    methods = {
        "__init__": create,
        "__eq__": equal,
        "__repr__": written,
        "__hash__": hashed,
        "__setattr__": refuse,
        "__delattr__": refuse,
        "__dataclass_fields__": _Fields(kinds),
        "__match_args__": names,
    }
    for name, method in methods.items():
        setattr(base, name, method)
    return base
