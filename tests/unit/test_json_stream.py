"""JSON with many members is read and written part by part, and is the same JSON."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import json_stream
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_table import (
    SIZES,
    STATES,
    PathTable,
)

# What looks like the end of a member, within names and values.
NAMES = ["x], ", '"], "', "'", "daily/a", "\udcff\n"]
VALUES: list[Any] = [[1, "], "], {"q": ['"], "']}, 3, -1.5, "s],", None, [[2], {}]]


def read(text: str, large: dict[tuple[str, ...], Any]) -> Any:
    return json_stream.load(io.StringIO(text), large)


@pytest.mark.parametrize("part", [3, 20, 400, 1 << 20])
def test_what_is_read_is_what_json_reads(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_PART", part)
    rng = random.Random(part)
    for _round in range(25):
        members = {
            rng.choice(NAMES) + str(number): rng.choice(VALUES)
            for number in range(rng.randrange(25))
        }
        value = {"version": 1, "good": {"time": "x", "files": members}, "files": [1], "n": None}
        separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n", " : ")])
        text = json.dumps(value, separators=separators)
        found: dict[str, Any] = {}
        rest = read(text, {("good", "files"): found.__setitem__})
        assert found == members
        assert rest == {**value, "good": {"time": "x", "files": {}}}
        for cut in range(0, len(text) - 1, 11):
            with pytest.raises(ValueError):
                read(text[:cut], {("good", "files"): found.__setitem__})


@pytest.mark.parametrize("text", ["", "{", "[1", '{"a": 1} 2', '{"a" 1}', "{1: 2}", '{"a": 1,}'])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        read(text, {(): lambda _key, _value: None})


def test_deep_nesting_is_an_error_of_its_own_kind() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read('{"a": ' + "[" * 200_000, {})


def test_a_large_object_that_is_none_is_returned() -> None:
    assert read('{"files": [1, 2]}', {("files",): print}) == {"files": [1, 2]}
    assert read("[1]", {(): print}) == [1]


def test_a_table_is_written_and_read_again(tmp_path: Path) -> None:
    table = PathTable(STATES, {f"daily/{number:05d}": (number, 7) for number in range(9_000)})
    path = str(tmp_path / "state.json")
    json_stream.replace(path, {"last": {"files": table, "time": "x"}, "empty": PathTable(STATES)})
    again: PathTable[tuple[int, int]] = PathTable(STATES)
    with json_stream.opened(path) as file:
        rest = json_stream.load(file, {("last", "files"): again.add})
    assert again == table and rest == {"last": {"files": {}, "time": "x"}, "empty": {}}
    plain = json.loads(Path(path).read_text())
    assert plain["last"]["files"]["daily/00003"] == [3, 7], "earlier versions read the same file"


class Numbers(Sequence[int]):
    """A sequence of numbers that no list holds."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, at: Any) -> Any:
        return range(self.count)[at]


@pytest.mark.parametrize("count", [0, 1, 4000, 4001, 9000])
def test_what_is_written_part_by_part_is_what_json_writes(count: int) -> None:
    numbers = Numbers(count)
    table = PathTable(SIZES, ((f"daily/{number:05}", number) for number in numbers))
    for value in (
        numbers,
        {"a": numbers, "b": [{"c": numbers}, ["d"], {}], "e": ("f", None), "g": table},
        [numbers, numbers],
        {"1": {}, "2": []},
        ["text", {"x": 1.5}],
    ):
        whole = list(json_stream.parts(value))
        plain = json.dumps(value, default=lambda one: dict(one) if one is table else list(one))
        assert "".join(whole) == plain
        assert max(map(len, whole)) < 200_000
