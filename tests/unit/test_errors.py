"""An error must name the option, the value and the remedy."""

from __future__ import annotations

from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)


def test_message_names_option_value_and_remedy() -> None:
    error = ResilienceError(
        "the path does not exist", option="path", value="/gone", remedy="mount it"
    )
    assert str(error) == "the path does not exist [path='/gone'] - mount it"


def test_message_without_option_is_the_problem_alone() -> None:
    assert str(ResilienceError("no room")) == "no room"
