# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the backup server something over ssh: at once, or ahead of when the answer is wanted."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO

from ..common import process
from ..common.messages import _
from . import ssh
from .ssh import Destination, Failure, ServerError

# An answer that nobody reads yet shall not stop the server: a list of 10,000 backups has 1 MB, and
# the kernel lets a pipe hold as much (fcntl(2), F_SETPIPE_SZ; /proc/sys/fs/pipe-max-size).
_PIPE_BYTES = 1 << 20


def run(destination: Destination, script: str, *arguments: str, input: bytes = b"") -> bytes:
    """Runs a shell script on the server and returns what it wrote.

    Args:
        destination: the server.
        script: for `sh -c`; `$1` and so on are the arguments.
        arguments: any text; quoted here.
        input: bytes for its standard input.

    Raises:
        ResilienceError: our key cannot be used.
        ServerError: the server could not be reached, or the script failed.
    """
    return ask(destination, shell_words(script, *arguments), input=input)


def shell_words(script: str, *arguments: str) -> list[str]:
    """The command that runs a shell script on the server, as `run` does."""
    return ["exec", "env", "LC_ALL=C", "sh", "-c", script, "sh", *arguments]


def ask(destination: Destination, words: Sequence[str], *, input: bytes = b"") -> bytes:
    """Has the server's shell, or the gate in its place, do what `words` say.

    Args:
        destination: the server.
        words: quoted here.
        input: bytes for its standard input.

    Returns:
        What it wrote.

    Raises:
        ResilienceError, ServerError: as `run`.
    """
    ssh.check_key(destination)
    return Question(destination, words, input=input).answer()


class Question:
    """`ask` in two steps: the server is asked at once, and its answer taken later.

    The key is not looked at: one that cannot be used is only refused by the server.

    Args:
        destination: the server.
        words: as for `ask`.
        input: bytes for the command's standard input; None where only `answer` will tell them.

    Raises:
        ResilienceError: ssh is not installed here.
    """

    def __init__(
        self, destination: Destination, words: Sequence[str], *, input: bytes | None = b""
    ) -> None:
        self.destination = destination
        self.words = tuple(words)
        with contextlib.ExitStack() as stack:
            given: IO[bytes] | int = subprocess.PIPE
            if input is not None:
                given = stack.enter_context(tempfile.TemporaryFile())
                given.write(input)
                given.seek(0)
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            arguments = [*ssh.command(destination), "-l", destination.user, "--"]
            self._running = stack.enter_context(
                process.started(
                    [*arguments, destination.host, shlex.join(words)],
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=ssh.environment(),
                    pipesize=_PIPE_BYTES,
                )
            )
            self._open = stack.pop_all()

    def drop(self) -> None:
        """Ends it; nobody wants the answer any more."""
        self._open.close()

    @property
    def waits(self) -> bool:
        """Whether the command is still there to be told something."""
        return self._running.poll() is None

    def part(self, ending: bytes) -> bytes:
        """What the server wrote up to an ending, after which the command waits to be told more.

        Args:
            ending: its last bytes, which occur nowhere before.

        Returns:
            All it wrote, where it ended without them.

        Raises:
            ServerError: as `answer`.
        """
        written, late = self._read(ending)
        if late is None and written.endswith(ending):
            return bytes(written)
        return self._ended(written, late)

    def answer(self, input: bytes = b"") -> bytes:
        """What the server wrote, after the part that was taken already.

        Args:
            input: bytes for the command's standard input, where it waits for them.

        Raises:
            ServerError: it could not be reached, or the command failed.
        """
        teller = process.feed(self._running, input)
        written, late = self._read()
        said = self._ended(written, late)
        teller.join()
        return said

    def _read(self, ending: bytes = b"") -> tuple[bytearray, process.TooLong | None]:
        written = bytearray()
        try:
            for block in process.blocks(
                process.output_of(self._running),
                time_limit=self.destination.time_limit,
                silence=self.destination.silence_seconds,
            ):
                written += block
                if ending and written.endswith(ending):
                    break
        except process.TooLong as error:
            return written, error
        return written, None

    def _ended(self, written: bytearray, late: process.TooLong | None) -> bytes:
        with self._open:
            if late:
                process.end_group(self._running)
            code = self._running.wait()
            self._errors.seek(0)
            _ = self._errors.read(1 << 20).decode("utf-8", "backslashreplace")
        if code == 0 and late is None:
            return bytes(written)
        said = ssh.telling_line(_) or ("" if late else process.ProcessResult(code, "", "").ending())
        raise ServerError(ssh.failure(_) or _unnamed(late), said, self.destination)


def _unnamed(late: process.TooLong | None) -> Failure:
    """Why a command on the server failed, where nothing that was said tells."""
    remedy = _("try it by hand with the same key")
    if late is None:
        return Failure("command_failed", _("a command on the server failed"), remedy, True)
    if late.silent:
        words = _("the server said nothing for %(seconds)s s", seconds=f"{late.seconds:g}")
        return Failure("silent", words, _("look what the server is busy with"), True)
    return Failure("time_limit", _("a command on the server was not done in time"), remedy, True)
