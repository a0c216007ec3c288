"""Text from elsewhere is one line, and no terminal obeys it."""

from __future__ import annotations

from ansible_collections.chefwell.resilience.plugins.module_utils.common.safe_text import (
    error_line,
    one_line,
)


def test_a_message_of_elsewhere_is_one_line_and_clean() -> None:
    assert one_line("\x1b[31mred\x07\r\n forged: line\n") == "\\x1b[31mred\\x07 forged: line"
    assert one_line("right to \u202e left", 14) == "right to \\u202"
    assert one_line("pão de queijo 🍕") == "pão de queijo 🍕"
    assert error_line(ValueError("a\x9bb")) == "ValueError: a\\x9bb"
