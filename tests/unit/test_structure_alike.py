"""Definitions of alike tenants are kept once, whoever owns them."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.database import (
    access,
    structure,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.database.structure import (
    Structure,
)


def owned(number: int) -> dict[str, dict[str, str]]:
    return {
        "schema": {"": f"tenant_{number}"},
        "owner of relation": {f"t{table}": f"owner_{number}" for table in range(3)},
        "privileges on relation": {f"t{table}": "reader: SELECT" for table in range(3)},
    }


def several(known: Structure | None = None) -> Structure:
    made = Structure(kinds=access.KINDS)
    for number in range(4):
        made.add(f"tenant_{number}", owned(number), known.shapes if known else {})
    return made


def privileges(held: Structure) -> set[int]:
    return {id(shape["privileges on relation"]) for shape in held.shapes.values()}


def test_shapes_share_what_they_have_in_common() -> None:
    held = several()
    assert len(held.shapes) == 4 and len(privileges(held)) == 1
    plain = held.to_dict()
    read = structure.from_dict(json.loads(json.dumps(plain)))
    assert read.to_dict() == plain and len(privileges(read)) == 1
    owners = read.shapes[read.schemas["tenant_1"]]["owner of relation"]
    assert len({id(owner) for owner in owners.values()}) == 1


def test_what_is_restored_is_kept_once_beside_what_was_expected() -> None:
    before = several()
    after = several(before)
    assert {id(one) for one in after.shapes.values()} == {id(one) for one in before.shapes.values()}
    changed = owned(9)
    changed["owner of relation"]["t2"] = "clerk"
    after.add("tenant_2", changed | {"schema": {"": "tenant_2"}}, before.shapes)
    found = list(structure.differences(before, after, names_only=False))
    assert {(one.schema, one.name, one.after) for one in found} == {
        ("tenant_2", "t0", "owner_9"),
        ("tenant_2", "t1", "owner_9"),
        ("tenant_2", "t2", "clerk"),
    }
    assert before.to_dict() == several().to_dict()


class Rows:
    """A cursor that has what PostgreSQL would return: real ones are in the corpus."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self.rows = rows

    def execute(self, query: str, values: Any) -> None:
        pass

    def __iter__(self) -> Any:
        return iter(self.rows)


def test_texts_of_alike_tenants_are_kept_once_while_they_are_read() -> None:
    objects: dict[str, dict[str, dict[str, str]]] = {}
    names = ["tenant_a", "b c"]
    quoted = {"tenant_a": "tenant_a", "b c": '"b c"'}
    schemas = [(name, "", quoted[name]) for name in names]
    structure.read(Rows(*schemas), names, "schema", "", objects)
    views = [
        (name, "".join(["sa", "les"]), f"SELECT x FROM {quoted[name]}.t, other.t") for name in names
    ]
    structure.read(Rows(*views), names, "comment", "", objects)
    one, other = (objects[name]["comment"]["sales"] for name in names)
    assert one is other
    made = Structure()
    for name in names:
        made.add(name, objects[name])
    assert made.schemas["tenant_a"] == made.schemas["b c"]
    for name in names:
        text = structure.definition(made, (name, quoted[name]), "comment", "sales")
        assert text == f"SELECT x FROM {name}.t, other.t"
