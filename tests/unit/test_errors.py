"""An error must name the option, the value and the remedy."""

from __future__ import annotations

from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
    known_names,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.common.safe_text import (
    error_line,
    one_line,
)


def test_message_names_option_value_and_remedy() -> None:
    error = ResilienceError(
        "the path does not exist", option="path", value="/gone", remedy="mount it"
    )
    assert str(error) == "the path does not exist [path='/gone'] - mount it"


def test_message_without_option_is_the_problem_alone() -> None:
    assert str(ResilienceError("no room")) == "no room"


def test_an_unknown_name_gets_the_one_that_was_meant_or_all() -> None:
    known = ("path", "name", "folder")
    assert known_names("pth", known) == "did you mean 'path'?"
    assert known_names("zzz", known) == "known keys: folder, name, path"
    assert known_names("zzz", known, "see the list") == "see the list"


def test_an_exception_is_one_line() -> None:
    assert one_line("a\n\tb   c ", 4) == "a b "
    assert error_line(ValueError("no\nnumber")) == "ValueError: no number"
