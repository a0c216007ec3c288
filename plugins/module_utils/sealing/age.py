# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `age`: encrypt a file for recipients, decrypt it with an identity.

Each file goes through age once, block by block; the digests of input and output are computed on the
way. Keys are given by files or through a pipe: the arguments of a process can be read by every
account of the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from ..common import process
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _

PROGRAM, KEY_PROGRAM = "age", "age-keygen"
BLOCK = 1 << 20
# X25519 in Bech32, or a public key of SSH.
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/]+={0,2}( .*)?")
# age's own message where the file is for other keys.
_OTHER_KEYS = "no identity matched"
_KEY_PROBLEMS = ("failed to open file", "failed to read", "malformed", "unknown identity type")


@dataclasses.dataclass(frozen=True)
class AgeResult:
    """SHA-256 and size of a file that age encrypted or decrypted: plain, and sealed."""

    sha256: str
    bytes: int
    sealed_sha256: str
    sealed_bytes: int


class WrongIdentity(ResilienceError):
    """The file was sealed for other identities."""


class ChangedFile(Exception):
    """The file changed while it was sealed."""


def is_recipient(text: str) -> bool:
    """Return whether a text is a public key that age accepts."""
    return bool(_RECIPIENT.fullmatch(text))


def new_identity() -> tuple[str, str]:
    """Return a new identity, which is secret, and its recipient.

    Raises:
        ResilienceError: age is not installed, or failed.
    """
    done = process.run([KEY_PROGRAM], time_limit=60)
    secret = re.search(r"^AGE-SECRET-KEY-1\S+$", done.output, re.MULTILINE)
    public = re.search(r"^# public key: (age1\S+)$", done.output, re.MULTILINE)
    if done.code != 0 or not secret or not public:
        raise _failure(done.errors, KEY_PROGRAM)
    return secret[0], public[1]


def recipient_of(identity_file: str) -> str:
    """Return the recipient of an identity.

    Raises:
        ResilienceError: the file holds no identity of age's.
    """
    done = process.run([KEY_PROGRAM, "-y", identity_file], time_limit=60)
    lines = [line for line in done.output.splitlines() if is_recipient(line)]
    if done.code != 0 or not lines:
        raise ResilienceError(
            _("the file holds no identity of age"),
            option="identity_file",
            value=identity_file,
            remedy=_("name the file that age-keygen wrote"),
        )
    return lines[0]


def seal(source: str, target: str, recipients_file: str, *, time_limit: float) -> AgeResult:
    """Encrypt a file for recipients, in one pass.

    The target gets the time of change of the source, by which rsync compares.

    Args:
        source: a regular file; a link is not followed.
        target: is made with mode 0600, and gets its name when all of it is written.
        recipients_file: public keys, one a line.
        time_limit: seconds.

    Raises:
        ChangedFile: the source changed meanwhile; there is no target.
        ResilienceError: age is missing or failed.
        OSError: a file cannot be read or written.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as read:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(0, "not a regular file", source)
        arguments = [PROGRAM, "--encrypt", "--recipients-file", recipients_file]
        with _temporary(target) as written:
            plain, sealed, errors = _run_age(arguments, read, written, time_limit)
            if errors is not None:
                raise _failure(errors)
            after = os.lstat(source)
            if _size_time_inode(after) != _size_time_inode(before) or plain.count != before.st_size:
                raise ChangedFile(source)
            os.utime(written.fileno(), ns=(before.st_mtime_ns, before.st_mtime_ns))
    return AgeResult(plain.hexdigest, plain.count, sealed.hexdigest, sealed.count)


def open_file(
    source: str, target: str, identity_files: Sequence[str], *, time_limit: float
) -> AgeResult:
    """Decrypt a file, in one pass; the target is there only if every byte was authentic.

    Raises:
        BackupError: the file is damaged, cut off, or was not made by age.
        WrongIdentity: it was sealed for other keys.
        ResilienceError: age is missing, or an identity cannot be used.
        OSError: a file cannot be read or written.
    """
    arguments = [PROGRAM, "--decrypt"]
    for one in identity_files:
        arguments += ["--identity", one]
    with open(source, "rb", buffering=0) as read, _temporary(target) as written:
        before = os.fstat(read.fileno())
        sealed, plain, errors = _run_age(arguments, read, written, time_limit)
        if errors is not None:
            raise _opening_failure(errors, source, identity_files)
        os.utime(written.fileno(), ns=(before.st_mtime_ns, before.st_mtime_ns))
    return AgeResult(plain.hexdigest, plain.count, sealed.hexdigest, sealed.count)


def seal_text(text: bytes, recipients_file: str) -> str:
    """Return a short text encrypted and armored, which can be shown and pasted.

    Raises:
        ResilienceError: age is missing or failed.
    """
    arguments = [PROGRAM, "--encrypt", "--armor", "--recipients-file", recipients_file]
    done = process.run(arguments, time_limit=60, input=text)
    if done.code != 0:
        raise _failure(done.errors)
    return done.output


def open_text(armored: str, name: str, identity_files: Sequence[str]) -> bytes:
    """Return what `seal_text` encrypted.

    Args:
        armored: the text.
        name: of what it belongs to, for errors.
        identity_files: identities that open it.

    Raises:
        BackupError: it is damaged.
        WrongIdentity: it was encrypted for other keys.
        ResilienceError: age is missing, or an identity cannot be used.
    """
    arguments = [PROGRAM, "--decrypt"]
    for one in identity_files:
        arguments += ["--identity", one]
    done = process.run(arguments, time_limit=60, input=armored.encode("utf-8"))
    if done.code != 0:
        raise _opening_failure(done.errors, name, identity_files)
    return done.output.encode("utf-8")


class _DigestCounter:
    """Digest and number of the bytes that were added."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.count = 0

    def add(self, block: bytes) -> None:
        self._digest.update(block)
        self.count += len(block)

    @property
    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Feeder(threading.Thread):
    """Writes a file to a program's standard input, and closes that.

    Attributes:
        counter: of what was read.
        problem: why the file could not be read; the program is ended then.
    """

    def __init__(self, read: IO[bytes], running: subprocess.Popen[bytes], sink: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._read, self._running, self._sink = read, running, sink
        self.counter = _DigestCounter()
        self.problem: OSError | None = None

    def run(self) -> None:
        """Write all of it."""
        try:
            while block := self._read.read(BLOCK):
                self.counter.add(block)
                self._sink.write(block)
        except BrokenPipeError:
            pass  # the program has ended; its exit code says why
        except OSError as error:
            self.problem = error
            process.kill_group(self._running)
        finally:
            with contextlib.suppress(OSError):
                self._sink.close()


def _run_age(
    arguments: Sequence[str], read: IO[bytes], written: IO[bytes], time_limit: float
) -> tuple[_DigestCounter, _DigestCounter, str | None]:
    """Feed a file to age and write its output.

    Returns:
        Digest and size of what was read and of what was written; age's error if it failed.
    """
    written_counter = _DigestCounter()
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(tempfile.TemporaryFile())
        running = stack.enter_context(
            process.running_program(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        )
        output, sink = process.output_of(running), process.input_of(running)
        process.widen(output)
        process.widen(sink)
        feeder = _Feeder(read, running, sink)
        feeder.start()
        try:
            for block in process.blocks(output, time_limit=time_limit, size=BLOCK):
                written_counter.add(block)
                written.write(block)
        except OSError:
            process.kill_group(running)
            raise
        except process.TimeLimitError as late:
            process.kill_group(running)
            raise ResilienceError(
                _("age took longer than %(seconds)s s and was ended", seconds=f"{late.seconds:g}"),
                option="time_limit",
                value=time_limit,
                remedy=_("raise time_limit of the destination"),
            ) from late
        finally:
            # The feeding thread ends when age has ended.
            if running.poll() is None and not _ends_soon(running):
                process.kill_group(running)
            feeder.join()
        if feeder.problem:
            raise feeder.problem
        code = running.wait()
        errors.seek(0)
        text = errors.read(4000).decode("utf-8", "backslashreplace")
    return feeder.counter, written_counter, None if code == 0 else text


def _ends_soon(running: subprocess.Popen[bytes]) -> bool:
    """Return whether a program that closed its output ends by itself within ten seconds."""
    try:
        running.wait(10)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextlib.contextmanager
def _temporary(target: str) -> Iterator[IO[bytes]]:
    """Provide a file that gets the name of the target when the block succeeds."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(target) or ".")
    try:
        with open(descriptor, "wb", buffering=0) as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _size_time_inode(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _error_text(errors: str) -> str:
    """Return age's own sentence without its prefix."""
    for line in errors.splitlines():
        if line.startswith(f"{PROGRAM}: error: "):
            return line.partition("error: ")[2]
    return (errors.strip().splitlines() or ["?"])[0]


def _failure(errors: str, program: str = PROGRAM) -> ResilienceError:
    return ResilienceError(
        _("%(program)s failed: %(why)s", program=program, why=_error_text(errors)),
        option="seal",
        remedy=_("look at the recipients and the free disk space"),
    )


def _opening_failure(errors: str, source: str, identity_files: Sequence[str]) -> ResilienceError:
    text = _error_text(errors)
    if _OTHER_KEYS in text:
        return WrongIdentity(
            _("the file was sealed for other keys"),
            option="identity_file",
            value=", ".join(identity_files),
            remedy=_("give the identity of this host or the owner's offline key"),
        )
    name = os.path.basename(source)
    if "header" not in text and any(problem in text for problem in _KEY_PROBLEMS):
        return ResilienceError(
            _("an identity cannot be used: %(why)s", why=text),
            option="identity_file",
            value=", ".join(identity_files),
            remedy=_("name the file that age-keygen wrote"),
        )
    return BackupError(
        _("the sealed file is damaged or cut off: %(why)s", why=text),
        option="backup",
        value=name,
        remedy=_("take another copy of it"),
    )
