# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands on the backup server over ssh, run at once or started before their output is needed."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import IO

from ..common import process
from ..common.messages import _
from . import ssh
from .command_output import CommandOutput
from .ssh import Destination, Failure, ServerError

# A list of two million backups has 300 MB.
MOST_OUTPUT = 512 << 20
_SHOWN_BYTES = 4096
_MOST_ERRORS = 1 << 20
_TOO_MUCH = Failure(
    "too_much",
    _("the server's answer is longer than any list of backups"),
    _("look what the server is: its answer is not used"),
    False,
)
# ssh ends without a word where the server is silent for too long.
CUT = Failure(
    "cut",
    _("the connection was cut"),
    _("check that sshd runs on the server and the line to it"),
    True,
)


def shell_command(script: str, *arguments: str) -> list[str]:
    """Return the command that runs a shell script on the server.

    Args:
        script: for `sh -c`; `$1` and so on are the arguments.
        arguments: any text; quoted here.
    """
    marked = f"echo '{ssh.MARK}' >&2; {script}"
    return ["exec", "env", "LC_ALL=C", "sh", "-c", marked, "sh", *arguments]


def run_command(
    destination: Destination, arguments: Sequence[str], *, stdin: Iterable[bytes] = ()
) -> CommandOutput:
    """Run a command on the server, by its shell or by the gate in its place.

    Args:
        destination: the server.
        arguments: the command and its arguments; quoted here.
        stdin: parts of its standard input.

    Returns:
        Its standard output.

    Raises:
        ResilienceError: the private key cannot be used.
        ServerError: the server could not be reached, or the command failed.
    """
    ssh.check_key(destination)
    return SshCommand(destination, arguments, stdin=stdin).output()


class SshCommand:
    """A command that was started on the server, and whose output is read later.

    The private key is not checked first: a key that cannot be used is refused by the server.

    Args:
        destination: the server.
        arguments: as for `run_command`.
        stdin: parts of the command's standard input; None where only `output` gives them.

    Raises:
        ResilienceError: ssh is not installed here.
    """

    def __init__(
        self,
        destination: Destination,
        arguments: Sequence[str],
        *,
        stdin: Iterable[bytes] | None = (),
    ) -> None:
        self.destination = destination
        self._end = time.monotonic() + destination.time_limit
        self.arguments = tuple(arguments)
        self._is_marked = any(ssh.MARK in one for one in arguments)
        with contextlib.ExitStack() as stack:
            source: IO[bytes] | int = subprocess.PIPE
            if stdin is not None:
                source = stack.enter_context(tempfile.TemporaryFile())
                source.writelines(stdin)
                source.seek(0)
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            ssh_arguments = [*ssh.command(destination), "-l", destination.user, "--"]
            self._running = stack.enter_context(
                process.running_program(
                    [*ssh_arguments, destination.host, shlex.join(arguments)],
                    stdin=source,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    env=ssh.environment(),
                )
            )
            # Output that is not read yet must not block the server: a list of 10,000 backups has
            # 1 MB.
            process.widen(process.output_of(self._running))
            self._open = stack.pop_all()

    def cancel(self) -> None:
        """End the command; its output is not needed any more."""
        self._open.close()

    @property
    def is_running(self) -> bool:
        """Whether the command still runs, so that it can be given input."""
        return self._running.poll() is None

    def feed(self, block: bytes) -> None:
        """Write a part of the command's standard input; more follows.

        Raises:
            ServerError: the command ended, or took nothing for the time that the destination
                allows.
        """
        stream = self._running.stdin
        if stream is None:
            raise ValueError("the command was started without a pipe for its input")
        number, left = stream.fileno(), memoryview(block)
        os.set_blocking(number, False)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(number, selectors.EVENT_WRITE)
                while left:
                    left_seconds = max(0.0, self._end - time.monotonic())
                    silence = self.destination.silence_seconds
                    if not (left_seconds and selector.select(min(silence, left_seconds))):
                        is_silent = silence < left_seconds
                        seconds = silence if is_silent else self.destination.time_limit
                        late = process.TimeLimitError(seconds, silent=is_silent)
                        self._whole_output(CommandOutput(), late)
                    with contextlib.suppress(BlockingIOError):
                        left = left[os.write(number, left) :]
        except BrokenPipeError:
            self._whole_output(*self._read())
            raise ServerError(CUT, "", self.destination) from None
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(number, True)

    def read_until(self, ending: bytes) -> CommandOutput:
        """Return the output up to an ending, after which the command waits for input.

        Args:
            ending: its last bytes, which occur nowhere before.

        Returns:
            All of the output, where it ended without them.

        Raises:
            ServerError: as `output`.
        """
        written, late = self._read(ending)
        if late is None and written.endswith(ending):
            return written
        return self._whole_output(written, late)

    def output(self, stdin: Iterable[bytes] = ()) -> CommandOutput:
        """Return the output that follows what was read already.

        Args:
            stdin: parts of the command's standard input, where it waits for them.

        Raises:
            ServerError: the server could not be reached, or the command failed.
        """
        feeder = process.write_input(self._running, stdin)
        written, late = self._read()
        output = self._whole_output(written, late)
        feeder.join()
        return output

    def _read(self, ending: bytes = b"") -> tuple[CommandOutput, process.TimeLimitError | None]:
        written = CommandOutput()
        try:
            for block in process.blocks(
                process.output_of(self._running),
                time_limit=self.destination.time_limit,
                silence=self.destination.silence_seconds,
            ):
                written.append(block)
                if len(written) > MOST_OUTPUT:
                    process.kill_group(self._running)
                    raise ServerError(_TOO_MUCH, "", self.destination)
                if ending and written.endswith(ending):
                    break
        except process.TimeLimitError as error:
            return written, error
        return written, None

    def _whole_output(
        self, written: CommandOutput, late: process.TimeLimitError | None
    ) -> CommandOutput:
        with self._open:
            if late:
                process.kill_group(self._running)
            code = self._running.wait()
            size = self._errors.seek(0, os.SEEK_END)
            # The end: what stands before the command began says nothing of it.
            self._errors.seek(max(0, size - _MOST_ERRORS))
            errors = self._errors.read(_MOST_ERRORS).decode("utf-8", "backslashreplace")
        began = not self._is_marked or size > _MOST_ERRORS or ssh.begins(errors)
        if code == 0 and late is None and began:
            return written
        detail = ssh.error_line(errors)
        if not detail and late is None:
            detail = process.ProcessResult(code, "", "").ending()
        # An account without a shell has its reason on standard output.
        head = b"".join(written.parts(0, min(_SHOWN_BYTES, len(written))))
        shown = head.decode("utf-8", "backslashreplace")
        known = ssh.failure(errors) or ssh.failure(shown)
        if known is None and code == 255 and late is None:
            known = CUT
        if known is None and not began and late is None:
            known, detail = ssh.NO_COMMANDS, detail if code else ""
            detail = ssh.error_line(errors) or ssh.error_line(shown) or detail
        raise ServerError(known or _unknown_failure(late), detail, self.destination)


def _unknown_failure(late: process.TimeLimitError | None) -> Failure:
    """Return the failure of a command whose standard error holds no known text."""
    remedy = _("try it by hand with the same key")
    if late is None:
        return Failure("command_failed", _("a command on the server failed"), remedy, True)
    if late.silent:
        problem = _("the server sent nothing for %(seconds)s s", seconds=f"{late.seconds:g}")
        return Failure("silent", problem, _("look what the server is busy with"), True)
    return Failure("time_limit", _("a command on the server was not done in time"), remedy, True)
