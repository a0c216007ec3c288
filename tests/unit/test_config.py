"""A configuration error names the key, the value and the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.config import Key, load
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)

KEYS = {"path": Key(str, required=True), "warning": Key((int, float), 70)}


def write(folder: Path, text: str) -> str:
    file = folder / "stage.json"
    file.write_text(text)
    return str(file)


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    assert load(write(tmp_path, '{"path": "/b"}'), KEYS) == {"path": "/b", "warning": 70}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": "/b", "waning": 60}', "did you mean 'warning'?"),
        ('{"path": "/b", "warning": "60"}', "int or float"),
        ('{"path": "/b", "warning": true}', "int or float"),
        ('{"warning": 60}', "'path'"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ResilienceError) as raised:
        load(file, KEYS)
    assert said in str(raised.value)
    assert file in str(raised.value)


def test_a_missing_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ResilienceError, match="run the stage's playbook"):
        load(str(tmp_path / "none.json"), KEYS)
