"""Something that is done again and again while a test goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeated(action: Callable[[], object], pause: float) -> Iterator[None]:
    """Call an action again and again, in a thread of its own, while the block lasts.

    Args:
        action: what is done.
        pause: seconds before each time.
    """
    end = threading.Event()

    def repeat() -> None:
        while not end.wait(pause):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
