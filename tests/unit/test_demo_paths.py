"""Every path that a role would use on a real host lies below the demo's folder in the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from demo import variables
from demo.layout import Layout

# What is only read, or is no file of the host's own.
ELSEWHERE = {
    "staging_restore_backend_health_path": "part of an address",
}


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    layout = Layout(tmp_path / "demo")
    record = {
        "backups": str(layout.bed / "backups"),
        "users": [],
        "postgres": {"host": "h", "port": 1, "dbname": "d", "bin_dir": "/usr/bin"},
        "backend": {"python": "/usr/bin/python3", "script": str(layout.bed / "backend.py")},
        "ssh": {
            "host": "h",
            "port": 1,
            "user": "u",
            "outside": None,
            "path": str(layout.bed / "copies"),
            "authorized_keys": str(layout.bed / "keys"),
            "host_key_file": str(layout.bed / "key.pub"),
        },
    }
    variables.write(layout, record, "en")
    path = layout.inventory.parent / "group_vars" / "production.yml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def test_no_role_falls_back_to_a_path_of_the_machine(
    written: dict[str, Any], tmp_path: Path
) -> None:
    looked = 0
    for specification in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(specification.read_text())["argument_specs"]["main"]["options"]
        for name, option in options.items():
            value = option.get("default")
            if not isinstance(value, str) or not value.startswith("/") or name in ELSEWHERE:
                continue
            looked += 1
            assert name in written, f"{name}: the demo would use {value}"
            inside = str(written[name]).startswith(f"{tmp_path}/demo/")
            assert inside or name == "host_kit_python", f"{name}: {written[name]}"
    assert looked > 15
