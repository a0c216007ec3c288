"""A folder of the machine over which engines mount folders of their own.

What is mounted over a folder is gone, for everybody, as soon as somebody removes the folder
(rmdir(2), "EBUSY"; since Linux 3.18 a mount of another namespace does not stop that). So each
engine holds a lock on it, and only the last one removes it, if it was made for engines at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

MARK = ".made-for-an-engine-of-tests"


class SharedFolder:
    """A folder that several engines may mount over.

    Args:
        path: of it.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._held: int | None = None

    def hold(self) -> None:
        """Make the folder unless it is there, and keep it until `release`."""
        while self._held is None:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir(parents=True)
                (self.path / MARK).touch()
            with contextlib.suppress(FileNotFoundError):
                opened = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(opened, fcntl.LOCK_SH)
                if self._is(opened):
                    self._held = opened
                else:
                    os.close(opened)

    def release(self) -> None:
        """Release the folder; the last engine removes it if it was made for engines."""
        held, self._held = self._held, None
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            if held is None:
                held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is(held) and os.listdir(self.path) == [MARK]:
                (self.path / MARK).unlink()
                self.path.rmdir()
        if held is not None:
            os.close(held)

    def left(self) -> bool:
        """Whether it was made for engines and is still there although no engine holds it."""
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            opened = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return (self.path / MARK).exists()
            finally:
                os.close(opened)
        return False

    def _is(self, opened: int) -> bool:
        """Whether the path still leads to the folder that was opened."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(opened), os.stat(self.path))
        return False
