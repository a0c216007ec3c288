# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a role, from its argument specification and the play's variables.

An option stands in the role's `meta/argument_specs.yml` alone: its name, type, choices, default
and documentation. What the play's variables do not give is looked for among the variables that all
stages share (role `resilience`, `resilience_<option>`), and then has the default.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import os
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from . import destination_options

ROLES = Path(__file__).resolve().parents[2] / "roles"
ENGINE = "ansible_collections.chefwell.resilience.plugins.module_utils"
SHARED_ROLE = "resilience"
# An option that goes by another name where stages share it.
SHARED_NAMES = {"destinations": "offsite"}
# Role -> the class of its stage's settings.
SETTINGS = {
    "disk_monitor": ("disk.disk_settings", "DiskSettings"),
    "offsite_backup": ("offsite.offsite_config", "OffsiteSettings"),
    "staging_restore": ("proof.restore_settings", "RestoreSettings"),
    "checkpoint": ("checkpoint.checkpoint_settings", "CheckpointSettings"),
    "backup_server": ("server.server_settings", "ServerSettings"),
}

# What a settings class cannot see by itself.
CHECKS = {
    "disk_monitor": ("disk.disk_check", "validate"),
    "offsite_backup": ("offsite.offsite_config", "check"),
}


@functools.cache
def specification(role: str) -> dict[str, dict[str, Any]]:
    """Return the options of a role's entry point `main`, by their names without the role's."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["argument_specs"][
        "main"
    ]["options"]
    return {name.removeprefix(f"{role}_"): option for name, option in options.items()}


def shared_specification() -> dict[str, dict[str, Any]]:
    """Return the options that all stages share, by the names that settings classes give them."""
    named = {shared: own for own, shared in SHARED_NAMES.items()}
    return {named.get(name, name): option for name, option in specification(SHARED_ROLE).items()}


def role_options(
    role: str, variables: Mapping[str, Any], value: Callable[[str], Any]
) -> dict[str, Any]:
    """Return the options of a role in the types of its specification, the shared ones among them.

    Args:
        role: its name in this collection.
        variables: the play's.
        value: returns the value of one of them, templated.

    Raises:
        AnsibleError: a value is of another type or no choice; one sentence that names the variable.
    """
    shared = shared_specification() if role != SHARED_ROLE else {}
    found: dict[str, Any] = {}
    for name, option in {**shared, **specification(role)}.items():
        candidates = [f"{role}_{name}"]
        if name in shared:
            candidates.append(f"{SHARED_ROLE}_{SHARED_NAMES.get(name, name)}")
        variable = next((one for one in candidates if one in variables), None)
        given = value(variable) if variable else option.get("default")
        found[name] = _validated(variable or candidates[0], option, given)
    if "%" in os.path.basename(found.get("backup_path") or "") and not found.get("backup_pattern"):
        # The name of one backup in place of their folder.
        found["backup_path"], found["backup_pattern"] = os.path.split(found["backup_path"])
    return found


def stage_config(
    role: str, options: Mapping[str, Any], destination: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a stage's configuration: the options that its settings class has.

    Args:
        role: one of `SETTINGS`.
        options: of the role, and of the host (`state_dir`, `config_dir`, `scripts_dir`).
        destination: for `backup_server`: the destination whose server it is. Its `server_<option>`
            is the server's `<option>`.
    """
    kind = settings_class(role)
    values = dict(options)
    for key, held in (destination or {}).items():
        if key.startswith("server_"):
            values[key.removeprefix("server_")] = held
    if destination is not None:
        values["root"] = destination["path"]
        # A flat folder is one tier there, by its name.
        values["backup_tiers"] = tree_settings().tier_names(
            values["backup_path"], values["backup_tiers"], values["backup_pattern"]
        )
    if values.get("ping_url"):
        values["ping_url"] = values["ping_url"].replace("{stage}", role.replace("_", "-"))
    return _known(values, kind)


def parsed_config(role: str, config: Mapping[str, Any], variables: Mapping[str, Any]) -> Any:
    """Return a stage's settings, as the host's commands will read its configuration.

    Args:
        role: one of `SETTINGS`.
        config: as `stage_config` returns it.
        variables: the play's, to name the one that is wrong.

    Raises:
        AnsibleError: an option is wrong; one sentence that names the variable.
    """
    errors = importlib.import_module(f"{ENGINE}.common.errors")
    settings = importlib.import_module(f"{ENGINE}.common.settings")
    try:
        parsed = settings.parse(config, settings_class(role))
        if role in CHECKS:
            module, name = CHECKS[role]
            getattr(importlib.import_module(f"{ENGINE}.{module}"), name)(parsed)
        return parsed
    except errors.ResilienceError as error:
        error.option = variable_of(role, str(error.option), variables) if error.option else None
        raise AnsibleError(str(error)) from error


def variable_of(role: str, option: str, variables: Mapping[str, Any]) -> str:
    """Return the variable from which an option of a role is taken, with what follows its name."""
    name, rest = re.fullmatch(r"([a-z_]*)(.*)", option, re.DOTALL).groups()  # type: ignore[union-attr]
    own, shared = f"{role}_{name}", f"{SHARED_ROLE}_{SHARED_NAMES.get(name, name)}"
    return (own if own in variables or name not in shared_specification() else shared) + rest


def stage_needs(
    role: str, variables: Mapping[str, Any], value: Callable[[str], Any]
) -> list[dict[str, Any]]:
    """Return what a stage needs of its host; where its configuration is wrong, only what is wrong.

    Args:
        role: one of `SETTINGS`.
        variables, value: as `role_options` takes them.
    """
    host = {"state_dir": "/", "config_dir": "/", "scripts_dir": "/", "offsite_config": "/"}

    def settings_of(name: str) -> tuple[Any, dict[str, Any]]:
        options = role_options(name, variables, value)
        return parsed_config(name, stage_config(name, {**options, **host}), variables), options

    try:
        settings, options = settings_of(role)
        drill = role == "staging_restore" and settings.source == "offsite"
        destinations = settings_of("offsite_backup")[0].destinations if drill else ()
    except AnsibleError as error:
        return [{"kind": "wrong", "text": str(error)}]
    wrong = (
        destination_options.problems(options["destinations"]) if role == "offsite_backup" else []
    )
    if wrong:
        return [{"kind": "wrong", "text": text} for text in wrong]
    needs_of = importlib.import_module(f"{ENGINE}.preflight.stage_needs").needs_of
    scheduled = bool(options.get("cron_enabled") or options.get("verify_cron_enabled"))
    return list(needs_of(settings, scheduled=scheduled, destinations=destinations))


def stage_secrets(role: str, config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the secrets in a stage's configuration, and the options that hold any.

    Args:
        role: one of `SETTINGS`.
        config: as `stage_config` returns it.
    """
    kind = settings_class(role)
    found = {
        option: _secrets(kind, option, value, _names(config, value))
        for option, value in config.items()
    }
    return {
        "options": sorted(option for option, values in found.items() if values),
        "values": sorted({one for values in found.values() for one in values}),
    }


def _secrets(kind: Any, option: str, value: Any, ordinary: list[str]) -> list[str]:
    """Return the secrets in the value of an option, and in those of the options within it."""
    known_secrets = importlib.import_module(f"{ENGINE}.common.known_secrets")
    field = next((one for one in dataclasses.fields(kind) if one.name == option), None)
    if field is None:
        return []
    if field.metadata.get("secret"):
        return [str(one) for one in known_secrets.unlike(known_secrets.secrets_in(value), ordinary)]
    hint = typing.get_type_hints(kind)[option]
    inner = [one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)]
    parts = value if isinstance(value, list) else [value]
    return [
        secret
        for part in parts
        if inner and isinstance(part, Mapping)
        for name, held in part.items()
        for secret in _secrets(inner[0], name, held, _names(part, held))
    ]


def _names(values: Mapping[str, Any], without: Any) -> list[str]:
    """Return the other texts among the values: a secret that is one of them hides nothing."""
    return [one for one in values.values() if isinstance(one, str) and one != without]


def settings_class(role: str) -> Any:
    """Return the settings class of a stage."""
    module, name = SETTINGS[role]
    return getattr(importlib.import_module(f"{ENGINE}.{module}"), name)


def tree_settings() -> Any:
    """Return the engine's module on backup trees."""
    return importlib.import_module(f"{ENGINE}.inventory.tree_settings")


def _known(values: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """Return the values that are fields of a settings class, and so within them."""
    hints = typing.get_type_hints(kind)
    known: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = values.get(field.name)
        if value is None:
            continue
        inner = hints[field.name]
        if dataclasses.is_dataclass(inner) and isinstance(value, Mapping):
            value = _known(value, inner)
        elif isinstance(value, Mapping):
            value = {key: held for key, held in value.items() if held is not None}
        elif typing.get_origin(inner) is tuple and isinstance(value, (list, tuple)):
            value = list(value)
            (element, *_rest) = typing.get_args(inner)
            if dataclasses.is_dataclass(element):
                value = [_known(one, element) for one in value]
        known[field.name] = value
    return known


def _validated(variable: str, option: dict[str, Any], value: Any) -> Any:
    """Return a value in the type of its option."""
    if value is None:
        return None
    if option["type"] == "list" and isinstance(value, Mapping):
        value = [value]  # one destination is a list of one
    result = ArgumentSpecValidator({variable: _plain(option)}).validate({variable: value})
    if result.error_messages:
        raise AnsibleError("; ".join(str(one) for one in result.error_messages))
    return result.validated_parameters[variable]


def _plain(option: dict[str, Any]) -> dict[str, Any]:
    """Return an option as the validator takes it; a path of the host is not expanded here."""
    kept = {key: option[key] for key in ("type", "elements", "choices", "default") if key in option}
    for key in ("type", "elements"):
        if kept.get(key) == "path":
            kept[key] = "str"
    if "options" in option:
        kept["options"] = {name: _plain(one) for name, one in option["options"].items()}
    for key in ("required", "no_log"):
        if key in option:
            kept[key] = option[key]
    return kept
