"""Commands and roles take what the pages show to be typed or pasted."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.chefwell.resilience.plugins.module_utils import host_cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "roles").glob("*/README.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def command_options() -> dict[str, set[str]]:
    """The options of each command of a host."""
    found = {}
    for name, command in host_cli.commands_for().items():
        parser = argparse.ArgumentParser()
        for option in ("--json", "--check", *(["--test-message"] if command.notifies else [])):
            parser.add_argument(option)
        command.arguments(parser)
        found[name] = set(parser._option_string_actions)
    return found


COMMANDS = command_options()


def wrong_options(text: str) -> list[str]:
    """What a page writes behind the name of a command, and the command does not take."""
    found = []
    for name, rest in re.findall(r"([a-z][a-z-]+)\.sh((?: [^`#\n|]*)?)", text):
        if name in COMMANDS:
            given = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest.partition(".sh")[0])
            found += [f"{name}.sh {one}" for one in given if one not in COMMANDS[name]]
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_take_the_options_that_a_page_shows(page: Path) -> None:
    assert wrong_options(page.read_text()) == []


def test_an_option_that_is_not_there_is_found() -> None:
    shown = "`disk-status.sh --watch 5`, `disk-status.sh --forever`, `rsync.sh --any`"
    assert wrong_options(shown) == ["disk-status.sh --forever"]
    assert len(COMMANDS) > 12 and "--switch" in COMMANDS["disaster-recovery"]


def role_options() -> dict[str, Any]:
    """Every variable of the roles, with those that a stage has of the shared ones."""
    found: dict[str, Any] = {}
    for file in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(file.read_text())["argument_specs"].values():
            found |= entry.get("options", {})
    shared = {name: one for name, one in found.items() if name.startswith("resilience_")}
    for stage in ("disk_monitor", "offsite_backup", "staging_restore"):
        for name, one in shared.items():
            found.setdefault(f"{stage}_{name.removeprefix('resilience_')}", one)
    # What a destination takes is described where stage 2 does.
    return {**found, "resilience_offsite": found["offsite_backup_destinations"]}


OPTIONS = role_options()


def examples(page: Path) -> list[dict[str, Any]]:
    """The examples of a page that set variables of the roles."""
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    read = [yaml.safe_load(block) for block in blocks]
    return [one for one in read if isinstance(one, dict) and set(one) & set(OPTIONS)]


def errors(example: dict[str, Any]) -> list[str]:
    """What Ansible's own validation of a role's arguments says to an example."""
    spec = {name: {**OPTIONS[name], "required": False} for name in example if name in OPTIONS}
    # A single destination may stand without its list.
    given = {
        name: [example[name]]
        if spec[name]["type"] == "list" and isinstance(example[name], dict)
        else example[name]
        for name in spec
    }
    validator = ArgumentSpecValidator(spec)
    return list(validator.validate(given).error_messages)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_roles_take_the_examples_of_a_page(page: Path) -> None:
    for example in examples(page):
        assert errors(example) == [], example


def test_a_wrong_example_is_found() -> None:
    assert errors({"resilience_offsite": {"hots": "a"}})
    assert errors({"resilience_language": "fr"}) and not errors({"resilience_language": "en"})
    assert sum(len(examples(page)) for page in PAGES) >= 12
