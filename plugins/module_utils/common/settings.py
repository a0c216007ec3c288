# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typed settings: a configuration is parsed once, into a frozen dataclass.

A field of the dataclass is an option: its annotation is the option's type, its default the option's
default. Both stand there and in the role's argument specification, and
tests/unit/test_options.py fails when the two, or a module's documentation, disagree.

A configuration file is one JSON object: roles write it, so that no value needs escaping rules of
its own, and the standard library reads it on a host without PyYAML.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, Union

from .errors import ResilienceError, known_names
from .system_errors import reason

Settings = TypeVar("Settings")
# What `X | Y` makes; Python 3.9 has none, so settings write Union and Optional.
_UNION = getattr(types, "UnionType", Union)
_NONE = type(None)
# Greatest values by the unit that ends an option's name: within them times and dates are computed.
MOST = {"_days": 36_500, "_hours": 876_000, "_minutes": 52_560_000}
# Of seconds, and of whatever is counted.
MOST_OF_OTHERS = 1_000_000_000
# Numbers beyond are no seconds, bytes or shares; every float up to it is exact.
LARGEST = 2**53
HIDDEN = "(not shown: it may hold a password)"


def option(
    default: Any = dataclasses.MISSING,
    *,
    required: bool = False,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: int | None = None,
    secret: bool = False,
) -> Any:
    """Declare a field of a settings class that is more than a type and a default.

    Args:
        default: of the option; a mutable one is copied for each object.
        required: whether it must be given, and not be empty.
        choices: the values that it may have; all values of its type when empty.
        minimum: the least value of a number.
        maximum: its greatest value; that of its unit when left out, see `MOST`.
        secret: whether no error may show its value.
    """
    metadata = {
        **{"required": required, "choices": choices, "secret": secret},
        **{"minimum": minimum, "maximum": maximum},
    }
    if isinstance(default, (dict, list)):
        # pylint: disable-next=invalid-field-call
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    if default is dataclasses.MISSING:
        default = "" if required else None
    return dataclasses.field(default=default, metadata=metadata)  # pylint: disable=invalid-field-call


def load(path: str, kind: type[Settings]) -> Settings:
    """Return the settings that a configuration file holds.

    Args:
        path: of the file, one JSON object.
        kind: the settings class, a dataclass.

    Raises:
        ResilienceError: the file cannot be read or is not a JSON object, or an option is wrong; the
            message names the file and the option.
    """
    return parse(read(path), kind, source=path)


def read(path: str) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ResilienceError: the file cannot be read, or is not a JSON object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file, object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise ResilienceError(
            f"the configuration cannot be read: {reason(error)}",
            option="config",
            value=path,
            remedy="run the stage's playbook, which writes it, or name another file with --config",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResilienceError(
            f"the configuration is not JSON: {error}",
            option="config",
            value=path,
            remedy="correct the file, or run the stage's playbook, which writes it",
        ) from error
    if not isinstance(values, dict):
        raise ResilienceError("the configuration is not a JSON object", option="config", value=path)
    return values


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; of a name that is given twice only one value would count."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the option {twice!r} is given twice")
    return values


def parse(
    values: Mapping[str, Any], kind: type[Settings], *, source: str = "", prefix: str = ""
) -> Settings:
    """Return the settings that plain values make.

    Args:
        values: by option; what is left out has its default.
        kind: the settings class, a dataclass.
        source: the file or role that gave the values, for messages.
        prefix: what stands before an option's name in messages, such as `destinations[0].`.

    Raises:
        ResilienceError: an option is unknown, missing, of another type or out of its range, or the
            settings class refuses it.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    parsed = {}
    try:
        for name, value in values.items():
            if name not in fields:
                raise unknown_option(prefix + name, value, fields)
            where = f"{prefix}{name}"
            try:
                if not prefix:
                    _refuse_unusable(value, where)
                parsed[name] = _value(value, hints[name], where)
                _check_range(parsed[name], fields[name], where)
            except ResilienceError as error:
                if fields[name].metadata.get("secret") and error.value is not None:
                    error.value = HIDDEN
                    error.args = (str(error),)
                raise
        for name, field in fields.items():
            if field.metadata.get("required") and not parsed.get(name):
                raise ResilienceError(
                    "a required option is missing",
                    option=prefix + name,
                    remedy=f"give {prefix}{name}",
                )
        _remember_secrets(fields, parsed)
        return kind(**parsed)
    except ResilienceError as error:
        if source and not prefix:
            raise error.of_file(source) from error
        raise


def _remember_secrets(fields: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
    """Register the secrets, so that they are masked wherever text is shown or kept."""
    secret = [name for name in parsed if fields[name].metadata.get("secret")]
    if secret and any(parsed[name] for name in secret):
        ordinary = [value for name, value in parsed.items() if isinstance(value, str)]
        ordinary = [value for value in ordinary if value not in [parsed[name] for name in secret]]
        # Loaded where there is a secret only: most runs of the monitor have none.
        known = importlib.import_module("..common.known_secrets", __package__)
        known.remember(known.secrets_in([parsed[name] for name in secret]), ordinary)


def unknown_option(
    name: str, value: object, known: collections.abc.Iterable[str]
) -> ResilienceError:
    """Return the error for an option that does not exist, with the nearest one that does."""
    return ResilienceError(
        "there is no such option",
        option=name,
        value=value,
        remedy=known_names(name.rsplit(".", 1)[-1], list(known)),
    )


def plain(settings: Any) -> Any:
    """Return settings as plain values, as a configuration file holds them."""
    if dataclasses.is_dataclass(settings):
        return {
            field.name: plain(getattr(settings, field.name))
            for field in dataclasses.fields(settings)
        }
    if isinstance(settings, Mapping):
        return {str(key): plain(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [plain(value) for value in settings]
    return settings


def type_name(hint: Any) -> str:
    """Return the name that Ansible gives to an annotation's type: `str`, `int`, `list`, …"""
    origin = typing.get_origin(hint)
    if origin in (Union, _UNION):
        rest = {type_name(one) for one in typing.get_args(hint) if one is not _NONE}
        return rest.pop() if len(rest) == 1 else "raw"
    if origin is tuple or origin in (list, collections.abc.Sequence):
        return "list"
    if origin in (dict, collections.abc.Mapping) or dataclasses.is_dataclass(hint):
        return "dict"
    return "raw" if hint is Any else str(hint.__name__)


def _value(value: Any, hint: Any, where: str) -> Any:
    """Return the value converted to the type of its annotation."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, _UNION):
        if value is None and _NONE in inner:
            return None
        for one in inner:
            if one is not _NONE and _fits(value, one):
                return _value(value, one, where)
        raise _wrong_type(where, value, hint)
    if not _fits(value, hint):
        raise _wrong_type(where, value, hint)
    if dataclasses.is_dataclass(hint):
        return parse(value, hint, prefix=f"{where}.")  # type: ignore[arg-type]
    if origin is tuple or origin is collections.abc.Sequence:
        return tuple(_value(one, inner[0], f"{where}[{at}]") for at, one in enumerate(value))
    if origin in (dict, collections.abc.Mapping) and inner:
        return {str(key): _value(one, inner[1], f"{where}.{key}") for key, one in value.items()}
    return value


def _refuse_unusable(value: Any, where: str) -> None:
    """Refuse what no option can mean: text that no file or program takes, numbers without a value.

    Raises:
        ResilienceError: the value, or one within it, is such.
    """
    if isinstance(value, str):
        if "\0" in value or not _is_encodable(value):
            raise ResilienceError(
                "the text has a zero byte or half a character",
                option=where,
                value=value,
                remedy="write it without",
            )
    elif isinstance(value, Mapping):
        for key, one in value.items():
            _refuse_unusable(str(key), where)
            _refuse_unusable(one, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for at, one in enumerate(value):
            _refuse_unusable(one, f"{where}[{at}]")
    elif isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        raise ResilienceError(
            "the number is too large, or is none",
            option=where,
            # A number may have more digits than Python writes.
            value=value if isinstance(value, float) else "(a long number)",
            remedy=f"give a number below {LARGEST}",
        )


def _is_encodable(text: str) -> bool:
    """Return whether a text can be written; bytes of a path that are no UTF-8 can (PEP 383)."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _fits(value: Any, hint: Any) -> bool:
    kind = type_name(hint)
    if kind == "list":
        return isinstance(value, (list, tuple))
    if kind == "dict":
        return isinstance(value, Mapping)
    if kind in ("int", "float"):
        # bool is a subclass of int; a threshold of `true` must not pass as 1.
        expected = (int,) if kind == "int" else (int, float)
        return isinstance(value, expected) and not isinstance(value, bool)
    return kind == "raw" or isinstance(value, hint)


def _wrong_type(where: str, value: Any, hint: Any) -> ResilienceError:
    kinds = [one for one in typing.get_args(hint) if one is not _NONE]
    union = typing.get_origin(hint) in (Union, _UNION)
    names = [type_name(one) for one in kinds] if union else [type_name(hint)]
    return ResilienceError(
        "the value has the wrong type",
        option=where,
        value=value,
        remedy=f"give a value of type {' or '.join(dict.fromkeys(names))}",
    )


def _check_range(value: Any, field: Any, where: str) -> None:
    choices = field.metadata.get("choices")
    minimum = field.metadata.get("minimum")
    if choices and (
        set(value) - set(choices) if isinstance(value, tuple) else value not in choices
    ):
        raise ResilienceError(
            "there is no such choice",
            option=where,
            value=value,
            remedy=f"give one of {', '.join(choices)}",
        )
    if minimum is not None and value is not None and value < minimum:
        raise ResilienceError(
            f"the value is below {minimum:g}",
            option=where,
            value=value,
            remedy=f"give {minimum:g} or more",
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        maximum = field.metadata.get("maximum") or next(
            (most for unit, most in MOST.items() if field.name.endswith(unit)), MOST_OF_OTHERS
        )
        if value > maximum:
            raise ResilienceError(
                f"the value is above {maximum:d}",
                option=where,
                value=value,
                remedy=f"give {maximum:d} or less",
            )
