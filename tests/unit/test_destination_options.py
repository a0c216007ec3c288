"""What destinations of the offsite copy lack is found before any host is touched, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.chefwell.resilience.plugins.plugin_utils import (
    destination_options,
    role_options,
)

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"host": "backup", "user": "backupuser", "path": "/backups", "inventory_host": "backup"}


def wrong(offsite: Any) -> list[str]:
    given = {"resilience_offsite": offsite} if offsite is not None else {}
    given["resilience_backup_path"] = "/srv/dumps"
    needs = role_options.stage_needs("offsite_backup", given, given.__getitem__)
    return [need["text"] for need in needs if need["kind"] == "wrong"]


@pytest.mark.parametrize(
    ("offsite", "words"),
    [
        (None, ["resilience_offsite is not set"]),
        ([], ["resilience_offsite is not set"]),
        ({}, ["resilience_offsite is not set"]),
        (
            {"host": "backup"},
            [f"default: {one} is not set" for one in ("user", "path", "host_key")],
        ),
        ({**GOOD, "user": ""}, ["Destination default: user is not set"]),
        ({**GOOD, "inventory_host": ""}, ["ssh-keyscan -t ed25519 -p 22 backup`"]),
        ([GOOD, {"name": "b2", "transport": "rclone"}], ["b2: rclone_remote is not set"]),
        ([GOOD, GOOD], ["default: give each further destination a name of its own"] * 2),
        ([GOOD, {**GOOD, "name": "ü/.."}], ["Destination ü/..: give each further"]),
        ([GOOD, {**GOOD, "name": "far", "path": None}], ["Destination far: path is not set"]),
        (GOOD, []),
        ([GOOD, {**GOOD, "name": "far"}], []),
        ({"transport": "rclone", "rclone_remote": "b2:bucket"}, []),
    ],
)
def test_each_lack_is_a_sentence_of_its_own(offsite: Any, words: list[str]) -> None:
    found = wrong(offsite)
    assert len(found) == len(words), found
    assert all(word in text for word, text in zip(words, found, strict=True)), found


def test_the_options_that_are_named_exist() -> None:
    options = role_options.specification("offsite_backup")["destinations"]["options"]
    named = {*destination_options._REMEDIES, "name", "transport", "inventory_host", "host_key_file"}
    assert named <= options.keys()


def test_no_task_loops_over_a_module() -> None:
    """Its failure would be "One or more items failed"; a loop over a file has each one's reason."""
    looped: set[str] = set()
    for file in sorted((ROOT / "roles").glob("*/tasks/*.yml")):
        for task in yaml.safe_load(file.read_text()) or []:
            inner = [task, *task.get("block", []), *task.get("rescue", [])]
            looped |= {
                f"{file.parent.parent.name}/{file.name}"
                for one in inner
                if {"loop", "with_items", "with_dict"} & one.keys()
                and not any(key.startswith("ansible.builtin.include") for key in one)
            }
    assert looped == set()


def test_no_role_ends_before_its_end() -> None:
    """With `--skip-tags always` ansible-core 2.19 raises an exception at `meta: end_role`."""
    files = [*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]
    assert files and not [file for file in files if "meta: end_role" in _code(file)]


def _code(file: Path) -> str:
    lines = file.read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))
