"""JSON that is damaged or hostile raises the one error that its readers expect."""

from __future__ import annotations

import io

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common import json_text


@pytest.mark.parametrize("text", ["", "{", "\ufeff{}", "[" * 100_000, '{"a":' * 100_000, "\0" * 9])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        json_text.loads(text)
    with pytest.raises(ValueError):
        json_text.load(io.StringIO(text))


def test_what_is_json_is_read() -> None:
    assert json_text.loads(b'{"a": [1, null]}') == {"a": [1, None]}
