"""A table of paths reads and changes like a dict, in order; memory is shared unseen."""

from __future__ import annotations

import random

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    path_block,
    path_table,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_list import (
    PathList,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory.path_table import (
    DIGESTS,
    SIZES,
    STATES,
    PathTable,
    TableBuilder,
    only_in,
    total_bytes,
)

# A form that shows the sizes of another table as twice as much.
DOUBLED: path_block.RowForm[int] = path_block.RowForm(
    "q", lambda size: (size // 2,), lambda _path, size: 2 * size
)
# Half a surrogate pair stands for a byte that is not UTF-8; it sorts before what is beyond it.
PIECES = ["a", "daily/", "/", "\udcff", "\U0001f600", "é", "0", "\n"]


def random_path(rng: random.Random) -> str:
    return rng.choice(PIECES) * rng.randrange(3) + str(rng.randrange(50))


@pytest.mark.parametrize("most_late", [1, 4, 4096])
def test_it_does_what_a_dict_does(most_late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_table, "_MOST_LATE", most_late)
    rng = random.Random(most_late)
    for _round in range(60):
        table: PathTable[tuple[int, int]] = PathTable(STATES)
        expected: dict[str, tuple[int, int]] = {}
        for _step in range(rng.randrange(150)):
            path, value = random_path(rng), (rng.randrange(9), rng.randrange(9))
            action = rng.random()
            if action < 0.6:
                table[path] = expected[path] = value
            elif action < 0.8:
                assert (path in table) == (path in expected)
                assert table.pop(path, None) == expected.pop(path, None)
            elif action < 0.9:
                assert list(table.items()) == sorted(expected.items())
            else:
                assert table.get(path) == expected.get(path)
            assert len(table) == len(expected)
        assert table == expected and list(table) == sorted(expected)
        rows = [(path, value) for path, value in expected.items()]
        rng.shuffle(rows)
        assert PathTable.sorted_from(STATES, rows + rows[:5]) == table


def test_a_view_shares_memory_and_sees_no_later_change() -> None:
    table: PathTable[tuple[int, int]] = PathTable(STATES, {"a": (1, 2), "c": (3, 4)})
    for change in ("a", "b", "d"):
        view = table.view(SIZES, 0)
        before = dict(view.items())
        table[change] = (9, 9)
        assert dict(view.items()) == before and table[change] == (9, 9)
        view["0"] = 5
        assert "0" not in table
    del table["a"]
    assert list(table) == ["b", "c", "d"]


def test_of_a_shared_table_only_what_changes_is_copied() -> None:
    names = [f"daily/{number:04d}" for number in range(10)]
    table: PathTable[tuple[int, int]] = PathTable(STATES, dict.fromkeys(names, (1, 2)))
    sizes, both = table.view(SIZES, 0), table.view(STATES, 0, 1)
    table[names[3]] = (1, 9)
    assert table.column(0) is sizes.column(0) is both.column(0)
    assert table.column(1) is not both.column(1)
    assert (table[names[3]], both[names[3]], sizes[names[3]]) == ((1, 9), (1, 2), 1)
    table[names[4]] = (8, 2)
    sizes[names[5]] = 7
    assert (table[names[4]], both[names[4]], sizes[names[4]]) == ((8, 2), (1, 2), 1)
    assert (table[names[5]], both[names[5]], sizes[names[5]]) == ((1, 2), (1, 2), 7)
    other: PathTable[tuple[int, int]] = PathTable(STATES, both)
    assert other.share_fields(both, 1) and other.column(0) is both.column(0)
    other["daily/9999"] = (5, 5)
    both[names[0]] = (4, 4)
    assert len(both) == 10 and (other[names[0]], other["daily/9999"]) == ((1, 2), (5, 5))


def test_the_same_paths_are_in_memory_once() -> None:
    names = [f"daily/{number:04d}" for number in range(100)]
    one, two = PathTable(SIZES, dict.fromkeys(names, 1)), PathTable(SIZES, dict.fromkeys(names, 2))
    assert one.same_paths(two) and one != two and list(only_in(one, two)) == []
    two["daily/0100"] = 3
    assert not one.same_paths(two) and list(only_in(two, one)) == ["daily/0100"]
    assert list(one) == names and one["daily/0099"] == 1


def test_rows_of_a_folder() -> None:
    table: PathTable[int] = PathTable(SIZES, {"a-/x": 1, "a/x": 2, "a/y": 3, "a0/x": 4, "b/x": 5})
    assert [table.path_at(row) for row in table.rows_of("a")] == ["a/x", "a/y"]
    assert list(table.rows_of("c")) == []


def test_counts_and_sums_of_whole_tables() -> None:
    sizes = {"a-/x": 1, "a/x": 2, "a/y": 3, "a0/x": 4, "b": 5, "b/x": 6, "/x": 7}
    table: PathTable[int] = PathTable(SIZES, sizes)
    assert table.count_by_folder() == {"": 1, "a-": 1, "a": 2, "a0": 1, "b": 2}
    assert PathTable(SIZES).count_by_folder() == {}
    del table["a/y"]
    assert total_bytes(table) == sum(sizes.values()) - 3 == total_bytes(dict(table))


def test_a_column_knows_whether_a_digest_is_missing() -> None:
    zeros = "0" * 62
    whole: PathTable[str] = PathTable(DIGESTS, {"a": f"ff{zeros}", "b": f"{zeros}ff"})
    assert whole.column(0).is_complete  # the zeros of two neighbours are no digest
    assert PathTable(DIGESTS).column(0).is_complete
    whole["c"] = ""
    assert not whole.column(0).is_complete


@pytest.mark.parametrize("digest", ["x", "ab", "a" * 63 + "g", "a" * 66])
def test_what_does_not_fit_is_refused_and_changes_nothing(digest: str) -> None:
    table: PathTable[str] = PathTable(DIGESTS, {"b": "b" * 64})
    for path in ("a", "b", "c"):
        with pytest.raises(ValueError):
            table[path] = digest
    assert dict(table.items()) == {"b": "b" * 64}
    sizes: PathTable[int] = PathTable(SIZES)
    with pytest.raises(OverflowError):
        sizes["a"] = 1 << 63
    assert len(sizes) == 0


def test_a_digest_that_is_not_known_is_empty() -> None:
    table: PathTable[str] = PathTable(DIGESTS, {"a": "", "b": "b" * 64})
    assert list(table.values()) == ["", "b" * 64] and table["a"] == ""


def test_a_list_of_paths_is_in_order_each_once() -> None:
    paths = PathList(["b", "a", "b"])
    paths.add("aa")
    assert paths == ["a", "aa", "b"] and paths[0] == "a" and paths[1:] == ["aa", "b"]
    assert paths[-1] == "b" and "aa" in paths and "c" not in paths and len(paths) == 3


@pytest.mark.parametrize(
    "paths", [["a", "b", "c"], ["a", "b"], ["a", "b", "c", "d"], ["a", "x"], ["b"], ["c", "a"], []]
)
def test_a_table_that_is_built_like_another_one(paths: list[str]) -> None:
    like: PathTable[int] = PathTable(SIZES, {"a": 1, "b": 2, "c": 3})
    rows = TableBuilder(SIZES, like)
    for number, path in enumerate(paths):
        rows.add(path, (number,))
    table = rows.table()
    expected = {path: number for number, path in enumerate(paths)}
    assert table == expected and list(table) == sorted(paths)
    table["aa"] = 9
    assert dict(like.items()) == {"a": 1, "b": 2, "c": 3} and table["aa"] == 9


@pytest.mark.parametrize("most_late", [1, 4, 4096])
def test_a_table_that_has_almost_the_paths_of_another_one(
    most_late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does what a dict does, and the other one stays as it is (each night has a new backup)."""
    monkeypatch.setattr(path_table, "_MOST_LATE", most_late)
    monkeypatch.setattr(path_table, "_LEAST_FOLLOWED", 0)
    rng = random.Random(most_late)
    shared = 0
    for _round in range(300):
        paths = {random_path(rng) for _number in range(rng.randrange(60))}
        base: PathTable[int] = PathTable(SIZES, {path: 1 for path in paths})

        def near(base: PathTable[int] = base) -> tuple[PathTable[int], dict[str, int]]:
            chosen = {path for path in base if rng.random() < 0.95}
            chosen |= {random_path(rng) for _number in range(rng.randrange(3))}
            rows = {path: rng.randrange(3) for path in sorted(chosen, key=path_block.encoded)}
            order = list(rows.items())
            if rng.random() < 0.2:
                rng.shuffle(order)
            made = PathTable.sorted_from(SIZES, ((path, (one,)) for path, one in order), base)
            return made, rows

        table, expected = near()
        other, expected_other = near()
        shared += table._paths is other._paths
        assert (table == other) == (expected == expected_other)
        assert list(only_in(table, other)) == [one for one in expected if one not in expected_other]
        view, seen = table.view(DOUBLED, 0), dict(expected)
        assert table.same_paths(other) == (expected.keys() == expected_other.keys())
        assert table.like(base) == table and dict(table.like(other).items()) == expected
        for _step in range(rng.randrange(20)):
            path = rng.choice([*paths, random_path(rng)])
            if rng.random() < 0.6:
                table[path] = expected[path] = rng.randrange(9)
            else:
                assert table.pop(path, None) == expected.pop(path, None)
            assert (len(table), table.get(path)) == (len(expected), expected.get(path))
            if rng.random() < 0.2:
                assert dict(table.items()) == expected
                assert list(table) == sorted(expected, key=path_block.encoded)
        assert dict(view.items()) == {path: 2 * one for path, one in seen.items()}
        assert table.has_text("0") or not any("0" in path for path in expected)
        assert sorted(table.column(0)) == sorted(expected.values())
        assert list(base.values()) == [1] * len(paths) and set(base) == paths
        assert dict(other.items()) == expected_other
    assert shared > 20 or most_late < 4
