"""Definitions are compared in the form that they have after a restore."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.database.canonical_sql import (
    canonical,
)

AFTER_A_RESTORE = {
    "CHECK (((a AND b) AND (c OR (d OR e))))": "CHECK ((a AND b AND (c OR d OR e)))",
    "(x = ANY ((ARRAY['a)'::character varying, b[1], f(c, 'd')])::text[]))": (
        "(x = ANY (ARRAY[('a)'::character varying)::text, (b[1])::text, (f(c, 'd'))::text]))"
    ),
    "(ARRAY[ARRAY['a'::x], ARRAY[NULL::x]])::character varying(10)[]": (
        "ARRAY[ARRAY[('a'::x)::character varying(10)], ARRAY[(NULL::x)::character varying(10)]]"
    ),
    "(ARRAY['2020'::text])::timestamp(3) without time zone[]": (
        "ARRAY[('2020'::text)::timestamp(3) without time zone]"
    ),
    """(ARRAY[1])::"a b"."c[]"[]""": """ARRAY[(1)::"a b"."c[]"]""",
    "(EXISTS ( SELECT 'a'::text AS text\n FROM t))": "(EXISTS ( SELECT 'a'::text\n FROM t))",
    "SELECT NULL::integer AS int4, '0'::double precision AS float8,\n 'x'::s.\"o d\" AS \"o d\")": (
        "SELECT NULL::integer, '0'::double precision,\n 'x'::s.\"o d\")"
    ),
    "'1'::numeric(5,2) AS \"numeric\", '{}'::character varying(3)[] AS \"varchar\"": (
        "'1'::numeric(5,2), '{}'::character varying(3)[]"
    ),
    "'x'::timestamp(3) without time zone AS \"timestamp\"": "'x'::timestamp(3) without time zone",
    'EXTRACT(YEAR FROM now()), EXTRACT(Day FROM "FROM")': (
        'EXTRACT(year FROM now()), EXTRACT(day FROM "FROM")'
    ),
    "UNION ALL\n SELECT x FROM ( VALUES (1), (2)) v": (
        "UNION ALL\n SELECT x FROM (VALUES (1), (2)) v"
    ),
}
SAME = (
    "SELECT NULL::integer AS int8, a::text AS text2, b AS text, 'x::text AS text'",
    "\"::text AS text\", 'EXTRACT(YEAR FROM x)'",
    "(a AND (b OR c))",
    "(NOT (a AND b) AND c)",
    "f(a AND b, (c AND d))",
    "OVER (PARTITION BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    """(((("(a AND b) AND c" = '(a AND b) AND c'))))""",
    "CREATE FUNCTION f()\nAS $function$((a AND b) AND c)$function$",
    "a AND b) AND (c",
    "((a AND b] AND c)",
)


@pytest.mark.parametrize("printed", AFTER_A_RESTORE)
def test_what_a_restore_prints_otherwise(printed: str) -> None:
    assert canonical(printed) == AFTER_A_RESTORE[printed]
    assert canonical(AFTER_A_RESTORE[printed]) == AFTER_A_RESTORE[printed]


@pytest.mark.parametrize("printed", SAME)
def test_what_means_something_else_stays(printed: str) -> None:
    assert canonical(printed) == printed


def test_depth_has_no_limit() -> None:
    deep = "(" * 5000 + "a" + " AND b)" * 5000
    assert canonical(deep) == "(a" + " AND b" * 5000 + ")"
