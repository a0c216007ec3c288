"""Names in the COPY statements that pg_dump writes."""

from __future__ import annotations

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.backup.identifiers import (
    copy_columns,
    copy_table,
)


@pytest.mark.parametrize(
    ("statement", "table", "columns"),
    [
        ("COPY public.t (id, name) FROM stdin;\n", ("public", "t"), ["id", "name"]),
        ("COPY public.t  FROM stdin;\n", ("public", "t"), []),
        ("COPY public.t FROM stdin;\n", ("public", "t"), []),
        (
            'COPY "Two words"."a ""b"" (c)" ("x, (y)", "line\nend", "ção") FROM stdin;\n',
            ("Two words", 'a "b" (c)'),
            ["x, (y)", "line\nend", "ção"],
        ),
        ('COPY "-"."." ("FROM stdin;") FROM stdin;\n', ("-", "."), ["FROM stdin;"]),
        ("", ("public", ""), []),
    ],
)
def test_table_and_columns(statement: str, table: tuple[str, str], columns: list[str]) -> None:
    assert copy_table(statement) == table
    assert copy_columns(statement) == columns
