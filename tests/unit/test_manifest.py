"""Versions of manifests, and what they hold of a backup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup import manifest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.expectation import (
    Expectation,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.manifest_snapshot import (
    SnapshotContent,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)

ROOT = Path(__file__).resolve().parents[2]
# As version 1 was written.
FIRST: dict[str, Any] = {
    "version": 1,
    "taken_at": "2025-11-20T03:00:00-03:00",
    "server_version": "16.3",
    "database": "shop",
    "sha256": "0" * 64,
    "bytes": 5,
    "tables": [["public", "sale", 7, "123"]],
    "algorithm": "sum of hashtextextended over rows as text, columns by name",
    "encoding": "UTF8",
    "locale": {"collate": "C", "ctype": "C", "provider": "c", "version": ""},
}


def written(tmp_path: Path, values: object) -> str:
    backup = tmp_path / "shop.dump"
    backup.write_bytes(b"12345")
    Path(manifest.path_of(str(backup))).write_text(json.dumps(values))
    return str(backup)


def test_the_first_version_is_read_still(tmp_path: Path) -> None:
    known = manifest.read(written(tmp_path, FIRST))
    assert known is not None and known.structure is None and known.large_objects is None
    expected = Expectation(tables={("public", "sale")}, rows={("public", "sale"): 7})
    assert manifest.apply(known, expected) == []
    assert expected.digests == {("public", "sale", "123")} and not expected.structure


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    held = SnapshotContent("2025-11-20T03:00:00-03:00", "16.3", "shop", "UTF8", {"collate": "C"})
    held.tables = {("public", "s\udce3le"): (7, "-12345678901234567890")}
    held.sequences = {("public", "ids"): (9, -1), ("public", "new"): (None, 1)}
    held.structure.add("a b", {"schema": {"": '"a b"'}, "view": {"v": 'SELECT 1 FROM "a b".t'}})
    held.structure.add("c", {"schema": {"": "c"}, "view": {"v": "SELECT 1 FROM c.t"}})
    held.large_objects, held.unreadable = {"5": "1"}, {"x.y": "permission denied"}
    backup = written(tmp_path, {})
    made = manifest.write(backup, held)
    assert manifest.read(backup) == made
    # Two schemas of one shape.
    assert len(held.structure.shapes) == 1


def test_the_schema_describes_what_is_written(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    held = SnapshotContent("2025-11-20T03:00:00-03:00", "16.3", "shop", "UTF8", {"provider": "i"})
    held.tables = {("public", "sale"): (7, "-12")}
    held.sequences = {("public", "new"): (None, 1)}
    held.structure.add("c", {"schema": {"": "c"}, "view": {"v": "SELECT 1 FROM c.t"}})
    backup = written(tmp_path, {})
    manifest.write(backup, held)
    values = json.loads(Path(manifest.path_of(backup)).read_text())
    check = jsonschema.Draft202012Validator(schema).is_valid
    jsonschema.Draft202012Validator(schema).validate(values)
    assert values["version"] == manifest.VERSION
    assert set(schema["required"]) == set(values)
    for wrong in (
        {"version": 3},
        {"sha256": "x"},
        {"taken_at": "2025-11-20T03:00:00"},
        {"tables": [["public", "sale", 7]]},
        {"locale": {"provider": "x"}},
        {"more": 1},
    ):
        assert not check({**values, **wrong}), wrong


@pytest.mark.parametrize(
    "values",
    [
        {**FIRST, "version": 3},
        {**FIRST, "tables": [["public"]]},
        {**FIRST, "structure": {"schemas": {"public": "gone"}, "shapes": {}}},
        {**FIRST, "structure": []},
        {**FIRST, "taken_at": "yesterday"},
        [],
    ],
)
def test_one_that_cannot_be_used_is_never_treated_as_missing(
    tmp_path: Path, values: object
) -> None:
    with pytest.raises(ResilienceError, match="the backup's manifest"):
        manifest.read(written(tmp_path, values))


def test_rows_that_a_dump_leaves_out_are_expected_all_the_same(tmp_path: Path) -> None:
    known = manifest.read(written(tmp_path, FIRST))
    assert known is not None
    expected = Expectation(tables={("public", "sale")}, rows={("public", "sale"): None})
    manifest.apply(known, expected)
    assert expected.rows == {("public", "sale"): 7}


def test_beside_a_name_that_is_nearly_as_long_as_allowed_there_is_none(tmp_path: Path) -> None:
    assert manifest.read(str(tmp_path / ("n" * 250))) is None
