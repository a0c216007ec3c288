"""An option's role, settings class and module agree on its name, type, default and choices."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.chefwell.resilience.plugins.module_utils.common.settings import (
    option,
    parse,
    plain,
    type_name,
)
from ansible_collections.chefwell.resilience.plugins.plugin_utils import role_options

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
STAGES = sorted(set(role_options.SETTINGS) - {"backup_server"})
# What the host adds to a configuration: its folders, and where backups are fetched from.
HOST = {"state_dir", "config_dir", "scripts_dir", "offsite_config"}
# A task measures what it names and nothing else; alerts, with their hysteresis and silences, are
# the monitor's on a host.
MODULE_DIFFERENCES = {
    ("disk_usage_check", name)
    for name in (
        "paths",
        "discover",
        "backup_path",
        "targets.folder",
        "targets.hysteresis",
        "targets.silence_until",
    )
}
MODULES = {
    "disk_usage_check": ("disk.disk_settings", "MonitorSettings"),
    "system_checkpoint": ("checkpoint.checkpoint_settings", "CheckpointSettings"),
    "restore_validate": ("validation.check_context", "ValidationSettings"),
}


def settings_class(module: str, name: str) -> Any:
    found = importlib.import_module(f"{role_options.ENGINE}.{module}")
    return getattr(found, name)


def default_of(field: Any) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return plain(field.default)


def differences(
    kind: Any,
    specified: Mapping[str, Any],
    *,
    ignored: set[str] = frozenset(),  # type: ignore[assignment]
) -> list[str]:
    """Where a settings class and the options of a specification disagree."""
    hints, found = typing.get_type_hints(kind), []
    for field in dataclasses.fields(kind):
        name = field.name
        if name in ignored:
            continue
        if name not in specified:
            found.append(f"{name}: not in the specification")
            continue
        spec, expected = specified[name], type_name(hints[name])
        there = {"path": "str"}.get(spec["type"], spec["type"])
        if there != expected:
            found.append(f"{name}: type {there} there, {expected} in the settings")
        if set(spec.get("choices", ())) != set(field.metadata.get("choices", ())):
            found.append(f"{name}: choices {spec.get('choices')}")
        inner = hints[name]
        arguments = typing.get_args(inner)
        element = arguments[0] if arguments and typing.get_origin(inner) is tuple else inner
        nested = dataclasses.is_dataclass(element)
        if nested:
            found += [f"{name}.{one}" for one in differences(element, spec.get("options", {}))]
        # A default of a nested class is the defaults of its options.
        default = {} if nested and expected == "dict" else default_of(field)
        if "default" in spec and spec["default"] != default:
            found.append(f"{name}: default {spec['default']!r} there, {default!r} here")
        elif "default" not in spec and default not in (None, ""):
            found.append(f"{name}: default {default!r} is not in the specification")
        # ansible-core cannot take no_log for an option whose default is a list or a dictionary.
        if field.metadata.get("secret") and expected == "str" and not spec.get("no_log"):
            found.append(f"{name}: a secret without no_log")
    return found


@pytest.mark.parametrize("role", STAGES)
def test_role_and_engine_agree(role: str) -> None:
    kind = settings_class(*role_options.SETTINGS[role])
    specified = {**role_options.shared_specification(), **role_options.specification(role)}
    assert differences(kind, specified, ignored=HOST) == []


def test_the_backup_servers_options_are_those_of_a_destination() -> None:
    kind = settings_class(*role_options.SETTINGS["backup_server"])
    stage = {**role_options.shared_specification(), **role_options.specification("offsite_backup")}
    own = stage["destinations"]["options"]
    specified = {
        **stage,
        **{k.removeprefix("server_"): v for k, v in own.items() if k.startswith("server_")},
    }
    assert differences(kind, specified, ignored={"root", "identity", "host_name"}) == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_and_engine_agree(module: str) -> None:
    source = (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")
    documentation = yaml.safe_load(source.split('DOCUMENTATION = r"""')[1].split('"""')[0])
    specified = {
        name: {**one, "options": one.get("suboptions", {})}
        for name, one in documentation["options"].items()
    }
    kind = settings_class(*MODULES[module])
    common = {field.name for field in dataclasses.fields(kind)} & set(specified)
    assert len(common) >= 3, "the module takes none of the engine's options"
    found = [
        one
        for one in differences(
            kind, specified, ignored={f.name for f in dataclasses.fields(kind)} - common
        )
        if "no_log" not in one and (module, one.split(":")[0]) not in MODULE_DIFFERENCES
    ]
    assert found == []


@pytest.mark.parametrize("role", ROLES)
def test_ansible_takes_the_specification(role: str) -> None:
    """As it validates a role's variables: with none given, every default is its own."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    for entry in yaml.safe_load(text)["argument_specs"].values():
        result = ArgumentSpecValidator(entry.get("options", {})).validate({})
        assert result.error_messages == []


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_the_roles_own_and_documented(role: str) -> None:
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    for entry in yaml.safe_load(text)["argument_specs"].values():
        for name, one in entry.get("options", {}).items():
            assert name.startswith(f"{role}_"), name
            assert one["description"] and one["type"], name
            for inner, sub in one.get("options", {}).items():
                assert sub["description"] and sub["type"], f"{name}.{inner}"


@pytest.mark.parametrize("role", sorted(set(ROLES) - {"host_kit"}))
def test_the_specification_alone_has_the_defaults(role: str) -> None:
    """The lookup `role_options` reads them there, so no file repeats them."""
    defaults = ROOT / "roles" / role / "defaults" / "main.yml"
    # Only the paths of host_kit are known to every role, by a link to their one file.
    shared = ROOT / "roles" / "host_kit" / "defaults" / "main.yml"
    assert not defaults.exists() or defaults.is_symlink() and defaults.resolve() == shared


def test_host_kits_defaults_are_those_of_its_specification() -> None:
    defaults = yaml.safe_load((ROOT / "roles/host_kit/defaults/main.yml").read_text())
    specified = role_options.specification("host_kit")
    assert {f"host_kit_{name}": one["default"] for name, one in specified.items()} == defaults


@dataclasses.dataclass(frozen=True)
class Example:
    number: int = 1
    word: str = option("a", choices=("a", "b"))
    key: str = option("", secret=True)


AGREES = {
    "number": {"type": "int", "default": 1},
    "word": {"type": "str", "default": "a", "choices": ["a", "b"]},
    "key": {"type": "str", "default": "", "no_log": True},
}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("number", {"type": "str"}),
        ("number", {"default": 2}),
        ("word", {"choices": ["a"]}),
        ("word", {"default": "b"}),
        ("key", {"no_log": False}),
        ("key", None),
    ],
)
def test_a_disagreement_is_found(name: str, change: dict[str, Any] | None) -> None:
    assert differences(Example, AGREES) == []
    changed = {one: spec for one, spec in AGREES.items() if one != name or change is not None}
    if change is not None:
        changed[name] = {**AGREES[name], **change}
    assert len(differences(Example, changed)) == 1


class TestValues:
    """What a stage gets of the play's variables."""

    @staticmethod
    def options(role: str, **variables: Any) -> dict[str, Any]:
        return role_options.role_options(role, variables, variables.__getitem__)

    def test_a_stages_own_variable_overrides_the_shared_one(self) -> None:
        shared = {"resilience_language": "en", "resilience_backup_path": "/srv/dumps"}
        found = self.options("disk_monitor", disk_monitor_language="pt_BR", **shared)
        assert (found["language"], found["backup_path"]) == ("pt_BR", "/srv/dumps")
        assert self.options("offsite_backup", **shared)["language"] == "en"

    def test_what_is_not_given_has_the_specifications_default(self) -> None:
        found = self.options("staging_restore")
        assert found["backup_path"] == "/root/backups" and found["engine"] == "auto"

    def test_one_destination_is_a_list_of_one(self) -> None:
        one = {"host": "backup.example.com", "user": "u", "path": "/b"}
        for given in (one, [one]):
            (found,) = self.options("offsite_backup", resilience_offsite=given)["destinations"]
            assert (found["host"], found["port"], found["name"]) == (
                "backup.example.com",
                22,
                "default",
            )

    def test_a_wrong_value_is_refused_in_one_sentence_with_its_variable(self) -> None:
        with pytest.raises(Exception, match="resilience_language") as raised:
            self.options("disk_monitor", resilience_language="fr")
        assert "\n" not in str(raised.value) and "pt_BR, en" in str(raised.value)
        with pytest.raises(Exception, match="hots"):
            self.options("offsite_backup", resilience_offsite={"hots": "x"})

    @pytest.mark.parametrize("role", STAGES)
    def test_the_defaults_make_the_engines_own_defaults(self, role: str) -> None:
        kind = settings_class(*role_options.SETTINGS[role])
        host = {"state_dir": "/s", "config_dir": "/c", "scripts_dir": "/x"}
        config = role_options.stage_config(role, {**self.options(role), **host})
        own = {name: value for name, value in host.items() if name in config}
        assert parse(config, kind) == parse(own, kind)

    def test_a_servers_configuration_is_the_destinations(self) -> None:
        given = {"host": "h", "user": "u", "path": "/b", "server_keep_days": 7}
        found = self.options("offsite_backup", resilience_offsite=given, resilience_language="en")
        (destination,) = found["destinations"]
        config = role_options.stage_config("backup_server", found, destination)
        assert (config["root"], config["keep_days"], config["language"]) == ("/b", 7, "en")
        assert "host" not in config and "user" not in config

    def test_a_ping_address_names_the_stage(self) -> None:
        found = self.options("disk_monitor", resilience_ping_url="https://ping.example/k/{stage}")
        config = role_options.stage_config("disk_monitor", found)
        assert config["ping_url"] == "https://ping.example/k/disk-monitor"


@pytest.mark.parametrize(
    ("given", "folder", "pattern"),
    [
        ("/srv/dumps/bistro-%Y-%m-%d.sql.gz", "/srv/dumps", "bistro-%Y-%m-%d.sql.gz"),
        ("/%Y/x_%s.dump", "/%Y", "x_%s.dump"),
        ("/srv/dumps", "/srv/dumps", ""),
        ("/srv/100%25/dumps", "/srv/100%25/dumps", ""),
    ],
)
@pytest.mark.parametrize("role", ["disk_monitor", "offsite_backup", "staging_restore"])
def test_a_path_may_end_with_the_name_of_a_backup(
    role: str, given: str, folder: str, pattern: str
) -> None:
    """One variable for folder and names; every stage reads it alike."""
    variables = {"resilience_backup_path": given}
    found = role_options.role_options(role, variables, variables.__getitem__)
    assert (found["backup_path"], found["backup_pattern"]) == (folder, pattern)
    variables["resilience_backup_pattern"] = "other-%Y.sql"
    found = role_options.role_options(role, variables, variables.__getitem__)
    assert (found["backup_path"], found["backup_pattern"]) == (given, "other-%Y.sql")
