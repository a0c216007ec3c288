# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a stage's configuration file and says precisely what is wrong with it.

A configuration is one JSON object: roles write it with `to_nice_json`, so that no value needs
escaping rules of its own, and the standard library reads it on a host without PyYAML.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .errors import ResilienceError, known_names
from .system_errors import reason


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of a configuration: its JSON type and what stands in when it is left out."""

    type: type | tuple[type, ...]
    default: Any = None
    required: bool = False


def load(path: str, keys: dict[str, Key]) -> dict[str, Any]:
    """The configuration in the file `path`, defaults filled in.

    Args:
        path: the file.
        keys: every key that the file may hold.

    Raises:
        ResilienceError: the file cannot be read, is not a JSON object, lacks a required key, holds
            an unknown one or a value of another type. The message names the key and the file.
    """
    values = read(path)
    for name, value in values.items():
        check_value(path, name, value, keys)
    for name, key in keys.items():
        if key.required and name not in values:
            raise ResilienceError(
                f"{path} lacks a required key", option=name, remedy=f"add {name!r} to the file"
            )
    return {name: values.get(name, key.default) for name, key in keys.items()}


def read(path: str) -> dict[str, Any]:
    """The file's object as it is, of another stage for instance.

    Raises:
        ResilienceError: the file cannot be read, or is not a JSON object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    except OSError as error:
        raise ResilienceError(
            f"the configuration cannot be read: {reason(error)}",
            option="config",
            value=path,
            remedy="run the stage's playbook, which writes it, or name another file with --config",
        ) from error
    except ValueError as error:
        raise ResilienceError(
            f"the configuration is not JSON: {error}",
            option="config",
            value=path,
            remedy="mend the file, or run the stage's playbook, which writes it",
        ) from error
    if not isinstance(values, dict):
        raise ResilienceError("the configuration is not a JSON object", option="config", value=path)
    return values


def check_value(path: str, name: str, value: object, keys: dict[str, Key]) -> None:
    if name not in keys:
        raise ResilienceError(
            f"{path} holds an unknown key", option=name, value=value, remedy=known_names(name, keys)
        )
    wanted = keys[name].type
    # bool is a subclass of int; a threshold of `true` must not pass as 1.
    matches = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    if not matches:
        kinds = wanted if isinstance(wanted, tuple) else (wanted,)
        raise ResilienceError(
            f"{path} holds a value of the wrong type",
            option=name,
            value=value,
            remedy=f"give a value of type {' or '.join(kind.__name__ for kind in kinds)}",
        )
