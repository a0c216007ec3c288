"""Cases of one test that mostly wait, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Case = TypeVar("Case")


def side_by_side(case: Callable[[Path, Case], object], names: Iterable[Case], folder: Path) -> None:
    """Run a function for each case in a thread and a folder of its own.

    Raises:
        ExceptionGroup: what was raised, with the case that it is of.
    """
    cases: Sequence[Case] = list(names)
    errors: list[Exception] = []

    def run(number: int) -> None:
        own = folder / f"case{number}"
        own.mkdir()
        try:
            case(own, cases[number])
        except Exception as error:
            error.add_note(f"case {cases[number]!r}")
            errors.append(error)

    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(run, range(len(cases))))
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(cases)} cases", errors)
