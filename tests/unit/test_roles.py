"""What a role says of its variables: the specification, the defaults and the README agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).resolve().parents[2] / "roles").iterdir())
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "path": str,
    "raw": object,
    "bool": bool,
    "int": int,
    "float": (int, float),
    "list": list,
    "dict": dict,
}


def read(role: Path, name: str) -> Any:
    return yaml.safe_load((role / name).read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(role, "meta/argument_specs.yml")["argument_specs"][
        "main"
    ]["options"]
    return found


def differences(specified: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> list[str]:
    """Where the two disagree. ansible-core never applies a specification's defaults."""
    found = [f"{name}: not in the specification" for name in defaults.keys() - specified.keys()]
    for name, option in specified.items():
        if "default" not in option and name in defaults:
            found.append(f"{name}: has a default that the specification does not tell")
        elif "default" in option and name not in defaults:
            found.append(f"{name}: the specification's default stands nowhere")
        elif "default" in option and option["default"] != defaults[name]:
            found.append(f"{name}: {option['default']!r} is not {defaults[name]!r}")
    return found


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_specification_tells_the_defaults(role: Path) -> None:
    assert differences(options(role), read(role, "defaults/main.yml")) == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_is_the_roles_own_and_of_its_type(role: Path) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role.name}_"), name
        assert option["description"], name
        if "default" in option:
            assert isinstance(option["default"], TYPES[option["type"]]), name


@pytest.mark.parametrize(
    ("specified", "defaults"),
    [
        ({}, {"a": 1}),
        ({"a": {"default": 1}}, {}),
        ({"a": {"default": 1}}, {"a": 2}),
        ({"a": {}}, {"a": 2}),
    ],
)
def test_a_disagreement_is_found(
    specified: dict[str, dict[str, Any]], defaults: dict[str, Any]
) -> None:
    assert len(differences(specified, defaults)) == 1
