"""What a restored backup must hold is written to a file and read again, part by part."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import expectation
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common import json_stream
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)

HELD = Expectation(
    schemas={("a",), ("b c",)},
    tables={("a", "t"), ("b c", "t"), ("b c", "u")},
    columns={("a", "t"): ("x", "y"), ("b c", "u"): ()},
    foreign_keys={("a", "t", "key")},
    sequence_values={("a", "s", "7", "true")},
    extensions={("hstore",)},
    rows={("a", "t"): 3, ("b c", "t"): None, ("b c", "u"): 0},
    structure={"schemas": {"a": "1"}, "shapes": {"1": {"table": {"t": "x"}}}, "kinds": ["table"]},
    large_object_digests={"12": "ab"},
    others={"RULE": 2},
)


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    json_stream.replace(str(path), HELD.to_dict(streamed=True))
    with path.open(encoding="utf-8") as file:
        assert expectation.load(file) == HELD


def test_an_empty_one_and_what_an_earlier_version_wrote() -> None:
    for held in (HELD, Expectation()):
        plain = held.to_dict()
        assert expectation.load(io.StringIO(json.dumps(plain))) == held
        text = "".join(json_stream.parts(held.to_dict(streamed=True)))
        assert expectation.load(io.StringIO(text)) == held
    # A row for each column.
    plain = HELD.to_dict()
    plain["columns"] = [["a", "t", "x"], ["a", "t", "y"], ["b c", "u"]]
    assert expectation.load(io.StringIO(json.dumps(plain))) == HELD


@pytest.mark.parametrize("wrong", ["{", "[]", '{"tables": {"a": 3}}', '{"rows": {"a": [[1, 2]]}}'])
def test_anything_else_is_one_error(wrong: str) -> None:
    with pytest.raises(ResilienceError, match="must hold is not known"):
        expectation.load(io.StringIO(wrong))
