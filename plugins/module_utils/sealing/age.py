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
import io
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from ..common import process
from ..common.errors import BackupError, ResilienceError
from ..common.files import replaced_file
from ..common.messages import _
from .public_keys import is_recipient

PROGRAM, KEY_PROGRAM = "age", "age-keygen"
OPENING_OPTION = "seal.identity_files"
BLOCK = 1 << 20
# After age has ended, the thread that feeds it may still wait for its source, and ends with that.
_FEEDER_SECONDS = 1.0
# age's own message where the file is for other keys.
_OTHER_KEYS = "no identity matched"
_NO_PASSPHRASE = "could not read passphrase"
_BY_PASSPHRASE = "passphrase-encrypted"
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


class UnreadableFile(OSError):
    """The file that was to be encrypted or decrypted cannot be read."""


class ChangedFile(Exception):
    """The file changed while it was sealed."""


def require_recipient(text: str, option: str) -> None:
    """Require that age encrypts for a public key: its checksum, kind and length are right.

    Raises:
        ResilienceError: it does not.
    """
    done = process.run([PROGRAM, "--encrypt", "--recipient", text], time_limit=60, input=b"")
    if done.code != 0:
        raise ResilienceError(
            _("age refuses this public key: %(why)s", why=_error_text(done.errors)),
            option=option,
            value=text,
            remedy=_("copy it whole from where the key was made; RSA needs 2048 bits or more"),
        )


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
            option=OPENING_OPTION,
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
    with _regular(source) as (read, before), replaced_file(target, durable=False) as written:
        done = seal_stream(read, written, recipients_file, time_limit=time_limit)
        _require_unchanged(source, before, done.bytes)
        _keep_time(before, written)
    return done


def seal_again(
    source: str,
    target: str,
    identity_files: Sequence[str],
    recipients_file: str,
    *,
    time_limit: float,
) -> tuple[AgeResult, tuple[str, int]]:
    """Open a sealed file and encrypt it for recipients, as `seal`; nothing plain is written.

    Returns:
        The result for the new file, and SHA-256 and bytes of the source.

    Raises:
        BackupError: the source is damaged, cut off, or was not made by age.
        WrongIdentity: it was sealed for other keys.
        ChangedFile, ResilienceError, OSError: as `seal`.
    """
    arguments = _decrypting(identity_files)
    reading, writing = os.pipe()
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(open(reading, "rb", buffering=0))
        into = stack.enter_context(open(writing, "wb", buffering=0))
        read, before = stack.enter_context(_regular(source))
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        # Without a reader, age that opens ends at once.
        stack.callback(plain.close)
        process.widen(into)

        def open_it() -> tuple[_DigestCounter, _DigestCounter, str | None]:
            with into:
                return _run_age(arguments, read, into, time_limit)

        written = stack.enter_context(replaced_file(target, durable=False))
        opening = pool.submit(open_it)
        done = seal_stream(plain, written, recipients_file, time_limit=time_limit)
        found, _opened, errors = opening.result()
        if errors is not None:
            raise _opening_failure(errors, source, identity_files)
        _require_unchanged(source, before, found.count)
        _keep_time(before, written)
    return done, (found.hexdigest, found.count)


def link_verified(
    source: str, target: str, identity_files: Sequence[str], *, time_limit: float
) -> AgeResult:
    """Check that age opens a sealed file to its end, and link it as the target; or copy it.

    Raises:
        BackupError, WrongIdentity, ChangedFile, ResilienceError, OSError: as `seal_again`.
    """
    done = read_whole(source, identity_files, time_limit=time_limit)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # on another filesystem, or one that has no such links
        shutil.copy2(source, target, follow_symlinks=False)
    return done


def read_whole(source: str, identity_files: Sequence[str], *, time_limit: float) -> AgeResult:
    """Open a sealed file to its end, and write nothing: its digests and sizes.

    Raises:
        BackupError, WrongIdentity, ChangedFile, ResilienceError, OSError: as `seal_again`.
    """
    with _regular(source) as (read, before), open(os.devnull, "wb", buffering=0) as nowhere:
        sealed, plain, errors = _run_age(_decrypting(identity_files), read, nowhere, time_limit)
        if errors is not None:
            raise _opening_failure(errors, source, identity_files)
        _require_unchanged(source, before, sealed.count)
    return AgeResult(plain.hexdigest, plain.count, sealed.hexdigest, sealed.count)


def seal_stream(
    read: IO[bytes], written: IO[bytes], recipients_file: str, *, time_limit: float
) -> AgeResult:
    """Encrypt all that can be read from one file into another.

    Raises:
        ResilienceError: age is missing or failed.
        OSError: one of them cannot be read or written.
    """
    arguments = [PROGRAM, "--encrypt", "--recipients-file", recipients_file]
    plain, sealed, errors = _run_age(arguments, read, written, time_limit)
    if errors is not None:
        raise _failure(errors)
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
    arguments = _decrypting(identity_files)
    with open(source, "rb", buffering=0) as read, replaced_file(target, durable=False) as written:
        sealed, plain, errors = _run_age(arguments, read, written, time_limit)
        if errors is not None:
            raise _opening_failure(errors, source, identity_files)
        _keep_time(os.fstat(read.fileno()), written)
    return AgeResult(plain.hexdigest, plain.count, sealed.hexdigest, sealed.count)


def seal_bytes(content: bytes, target: str, recipients_file: str) -> None:
    """Encrypt a content into a file, which is on the disk before it gets its name.

    Raises:
        ResilienceError: age is missing or failed.
        OSError: the file cannot be written.
    """
    with replaced_file(target) as written:
        seal_stream(io.BytesIO(content), written, recipients_file, time_limit=60)


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
    return open_bytes(armored.encode("utf-8"), name, identity_files)


def open_bytes(sealed: bytes, name: str, identity_files: Sequence[str]) -> bytes:
    """Return the UTF-8 text of a small sealed file; arguments and errors as `open_text`."""
    done = process.run(_decrypting(identity_files), time_limit=60, input=sealed)
    if done.code != 0:
        raise _opening_failure(done.errors, name, identity_files)
    return done.output.encode("utf-8")


def require_identity(identity_files: Sequence[str]) -> None:
    """Require a secret key that opens what is sealed.

    Raises:
        ResilienceError: there is none.
    """
    if not identity_files:
        raise ResilienceError(
            _("there is no key to open sealed backups with"),
            option=OPENING_OPTION,
            value="",
            remedy=_("copy the offline key to this host, mode 0600, and name its file"),
        )


def _decrypting(identity_files: Sequence[str]) -> list[str]:
    """Return the command that opens what comes on its standard input."""
    require_identity(identity_files)
    return [PROGRAM, "--decrypt", *(part for one in identity_files for part in ("-i", one))]


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
        except (BrokenPipeError, ValueError):
            pass  # the program has ended, perhaps long ago; its exit code says why
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
                _write_whole(written, block)
        except BaseException as error:
            process.kill_group(running)
            feeder.join(_FEEDER_SECONDS)
            if isinstance(error, process.TimeLimitError):
                raise _late(error) from error
            raise
        if not _ends_soon(running):
            process.kill_group(running)
        code = running.wait()
        # Who read all of its input has let it come to its end.
        feeder.join(None if code == 0 else _FEEDER_SECONDS)
        if feeder.problem:
            raise UnreadableFile(feeder.problem.errno, feeder.problem.strerror) from feeder.problem
        errors.seek(0)
        text = errors.read(4000).decode("utf-8", "backslashreplace")
    return feeder.counter, written_counter, None if code == 0 else text


def _late(error: process.TimeLimitError) -> ResilienceError:
    return ResilienceError(
        _("age took longer than %(seconds)s s and was ended", seconds=f"{error.seconds:g}"),
        option="time_limit",
        value=f"{error.seconds:g}",
        remedy=_("raise time_limit of the destination"),
    )


def _write_whole(file: IO[bytes], block: bytes) -> None:
    """Write a block: a full disk lets an unbuffered file write a part of it."""
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def _ends_soon(running: subprocess.Popen[bytes]) -> bool:
    """Return whether a program that closed its output ends by itself within ten seconds."""
    try:
        running.wait(10)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextlib.contextmanager
def _regular(source: str) -> Iterator[tuple[IO[bytes], os.stat_result]]:
    """Provide a regular file to read, and its status before; a link is not followed."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        try:
            read = stack.enter_context(
                open(source, "rb", buffering=0, opener=lambda path, _flags: os.open(path, flags))
            )
        except FileNotFoundError:
            raise
        except OSError as error:
            raise UnreadableFile(error.errno, error.strerror, source) from error
        before = os.fstat(read.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise UnreadableFile(0, "not a regular file", source)
        yield read, before


def _require_unchanged(source: str, before: os.stat_result, count: int) -> None:
    """Require that a file is what it was before, and that so many bytes are all of it.

    Raises:
        ChangedFile: it is not.
    """
    now = os.lstat(source)
    if _size_time_inode(now) != _size_time_inode(before) or count != before.st_size:
        raise ChangedFile(source)


def _keep_time(status: os.stat_result, written: IO[bytes]) -> None:
    written.flush()  # a later write would change the time
    os.utime(written.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))


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
            option=OPENING_OPTION,
            value=", ".join(identity_files),
            remedy=_("give the identity of this host or the owner's offline key"),
        )
    if _NO_PASSPHRASE in text:
        return ResilienceError(
            _("an identity cannot be used: it is protected by a passphrase"),
            option=OPENING_OPTION,
            value=", ".join(identity_files),
            remedy=_(
                "write it without one for the time of the restore: `age -d -o NEW FILE` for a key "
                "of age, `ssh-keygen -p -N '' -f COPY` for one of SSH; mode 0600"
            ),
        )
    name = os.path.basename(source)
    if _BY_PASSPHRASE in text:
        return BackupError(
            _("the file was encrypted with a passphrase, not for a public key"),
            option="backup",
            value=name,
            remedy=_("take another copy of it, or open it by hand with age"),
        )
    if "header" not in text and any(problem in text for problem in _KEY_PROBLEMS):
        return ResilienceError(
            _("an identity cannot be used: %(why)s", why=text),
            option=OPENING_OPTION,
            value=", ".join(identity_files),
            remedy=_("name the file that age-keygen wrote"),
        )
    return BackupError(
        _("the sealed file is damaged or cut off: %(why)s", why=text),
        option="backup",
        value=name,
        remedy=_("take another copy of it"),
    )
