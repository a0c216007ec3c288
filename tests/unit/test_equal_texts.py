"""Findings that say the same about many schemas are counted once."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.checks import checks, equal_texts
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.checks import Evidence
from ansible_collections.chefwell.resilience.plugins.module_utils.checks.findings import Finding


@pytest.mark.parametrize(
    "text",
    [
        "tenant_{0}.orders.orders_product_id_fkey is missing",
        "tenant_{0}.orders: {0} rows, the dump has 9{0}",
        'COPY "Loja-{0}"."Pedidos" refused',
        "function public.total(integer) is missing in tenant_{0}.bills",
    ],
)
def test_one_kind_in_many_schemas_is_one(text: str) -> None:
    (kind,) = equal_texts.grouped([text.format(number) for number in range(1, 9)])
    assert kind.line().startswith(text.format(1) + "; of the same kind in 7 more schemas: ")
    assert len(kind.schemas) == 7 and kind.schemas[0].endswith("2")


def test_a_schema_is_known_by_what_a_finding_is_about() -> None:
    names = ["alpha", "beta", "gamma", "delta", "eta", "theta"]
    texts = [f"{name}: products: HTTP 500" for name in names]
    assert len(equal_texts.grouped(texts)) == 6
    (kind,) = equal_texts.grouped(texts, names)
    assert kind.schemas == tuple(names[1:])


@pytest.mark.parametrize(
    "texts",
    [
        ["a.x is missing", "b.x is missing"],  # few are shown as they are
        [f"a.{kind} is missing" for kind in ("k", "l", "m", "n", "o", "p")],
        [f"{kind} is missing" for kind in ("k", "l", "m", "n", "o", "p")],
    ],
)
def test_what_is_few_or_differs_stays_apart(texts: list[str]) -> None:
    assert [kind.line() for kind in equal_texts.grouped(texts)] == texts


def test_what_differs_in_a_number_alone_is_counted() -> None:
    (kind,) = equal_texts.grouped([f"line {number} is bad" for number in range(7)])
    assert kind.line() == "line 0 is bad; of the same kind: 6 more"


def evidence(findings: list[Any]) -> str:
    """Return the evidence of a check with these findings."""
    return checks.conclude("rows", Evidence("7/9", findings), 0.0).evidence


def test_the_evidence_of_a_check_counts_them_once() -> None:
    found = [Finding("rows.differ", f"t{one}.a", f"t{one}.a differs") for one in range(80)]
    other = [Finding("rows.differ", f"u.{one}", f"u.{one} lacks") for one in "abcdef"]
    assert evidence([*found, *other]) == (
        "7/9: t0.a differs; of the same kind in 79 more schemas: t1, t2, t3, t4, t5, …;"
        " u.a lacks; u.b lacks; u.c lacks; u.d lacks and 2 more"
    )


def test_texts_that_were_cut_where_their_names_ended_are_of_one_kind() -> None:
    names = ["a", "a_much_longer_name", "bb", "ccc", "dddd", "eeeee"]
    command = "ALTER TABLE ONLY {0}.orders ADD CONSTRAINT x FOREIGN KEY (y) REFERENCES {0}.p(id)"
    cut = [f"ERROR: {'insert or update ' * 16}{command.format(name)}"[:320] for name in names]
    assert [kind.count for kind in equal_texts.grouped(cut)] == [6]
