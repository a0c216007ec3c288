# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: the forced command of a client's key in `authorized_keys` on the backup server.

sshd runs it instead of the client's command, which it finds in SSH_ORIGINAL_COMMAND. Whoever holds
the key may list the copy and add to it. A writing rsync gets options from a list only, and the
kernel keeps it in `incoming`; what arrives there gets its place by `placement`.

rsync's own `rrsync` is not used: whether it can refuse to delete (`-no-del`) and to overwrite
(`-no-overwrite`) depends on its version (`rrsync_features`), and with all of them a key that may
write a file in its place may also leave half of one there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from ..common import settings
from ..common.errors import ResilienceError
from ..common.messages import Message, _, to_form
from ..common.zip_equal import zip_equal
from ..inventory import packed_stream, tree_digests
from ..inventory.inventory import readable
from ..inventory.path_table import DIGESTS, PathList, PathTable
from . import (
    client_inventory,
    gate_input,
    gate_limits,
    gate_watch,
    landlock,
    packed_files,
    placement,
    server_notifications,
    server_store,
    server_verification,
)
from .gate_input import Refused
from .incoming import (
    ArrivalSession,
    clear_obstructions,
    recover_sessions,
    resume_partial_files,
)
from .packed_files import FULL
from .server_alarms import REFUSED, WARNINGS
from .server_settings import ServerSettings
from .server_store import Busy, Store, WrongCopy

PROTOCOL = 1
WRITE, READ = "write", "read"
# What a commit may begin with: files of `inventory.packed_stream`.
PACKED = "packed"
# Files that one task digests at most, and tasks that wait at one time.
_MOST_SHARE = 64
_MOST_TASKS = 64
# Paths of placed backups that the result of a commit names.
_MOST_NAMED = 1000
# Protocol features of the client's rsync follow `e`; they end the short options.
_SHORT_WRITE = re.compile(r"-[trpvnzR]*(e[0-9A-Za-z.]*)?")
_SHORT_READ = re.compile(r"-[vtprlogDnzR]*(e[0-9A-Za-z.]*)?")
_LONG = re.compile(
    r"--(log-format=[%\w ]{0,40}|timeout=\d{1,6}|bwlimit=[\d.]{1,12}|stats|fsync|no-inc-recursive)"
)
_PARTIAL = ("--partial-dir", ".rsync-partial")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve one request.

    Args:
        arguments: `--config FILE` and `--allow write` or `--allow read`; those of the process when
            left out.

    Returns:
        The exit code: 0 done, 1 refused, 2 failed, 75 (EX_TEMPFAIL) another job holds the lock.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = dict(zip_equal(given[::2], given[1::2]))
        path, allow = options["--config"], options["--allow"]
    except (KeyError, ValueError):
        return _fail("usage: gate --config FILE --allow write|read", 2)
    request = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    try:
        server_settings = settings.load(path, ServerSettings)
        try:
            return Gate(Store(server_settings), allow, path).serve(request)
        except WrongCopy:
            server_notifications.notify_in_background(server_settings, path)
            raise
    except Refused as error:
        return _fail(f"chefwell gate: refused: {error}", 1)
    except Busy as error:
        return _fail(f"chefwell gate: busy: {error}", 75)
    except (ResilienceError, OSError) as error:
        return _fail(f"chefwell gate: {error}", 2)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


class Gate:
    """What one key may do with one copy.

    Args:
        store: the copy.
        allow: `write` to add to it, `read` to fetch from it; both may list it.
        config_file: the client's configuration.
    """

    def __init__(self, store: Store, allow: str, config_file: str) -> None:
        self.store = store
        self.allow = allow
        self.config_file = config_file

    def serve(self, request: str) -> int:
        """Do what was requested, if it is allowed.

        Raises:
            Refused: it is not.
        """
        try:
            parts = shlex.split(request)
        except ValueError:
            parts = []
        commands: dict[str, Callable[[list[str]], int]] = {
            "hostname": self._hostname,
            "echo": self._echo,
            "chefwell-hello": self._hello,
            "chefwell-list": self._list,
            "chefwell-digest": self._send_digests,
            "chefwell-commit": self._commit,
            "rsync": self._rsync,
        }
        with gate_limits.session(self.store):
            return self._served(request, parts, commands)

    def _served(
        self, request: str, parts: list[str], commands: Mapping[str, Callable[[list[str]], int]]
    ) -> int:
        try:
            if not parts:
                raise Refused(_("this key opens no shell"))
            if parts[0] not in commands:
                command = repr(readable(parts[0])[:80])
                raise Refused(_("%(what)s is not among what this key may do", what=command))
            return commands[parts[0]](parts[1:])
        except Refused as error:
            self._record(request, error.reason)
            raise

    def _record(self, request: str, reason: str) -> None:
        """Log a refused request: a key that requests more than it may is perhaps a stolen one."""
        line = _(
            "%(time)s, from %(address)s: %(why)s: %(request)s",
            time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            address=os.environ.get("SSH_CONNECTION", "?").split(" ")[0],
            why=reason,
            request=readable(request)[:300],
        )
        path = os.path.join(self.store.state_dir, "refused.log")
        with self._notifying():
            self.store.alarms.set(REFUSED, line)
            # A full disk must not keep the alarm from being notified.
            with contextlib.suppress(OSError):
                if os.path.exists(path) and os.path.getsize(path) > 1 << 20:
                    os.replace(path, f"{path}.1")
                with open(path, "a", encoding="utf-8") as log:
                    log.write(line + "\n")

    def _notifying(self) -> contextlib.AbstractContextManager[None]:
        """Start the notifications if an alarm is raised within."""
        return server_notifications.notifying_new_alarms(self.store, self.config_file)

    def _hostname(self, arguments: list[str]) -> int:
        if arguments:
            raise Refused(_("hostname takes no arguments"))
        return self._send(os.uname().nodename + "\n")

    def _echo(self, arguments: list[str]) -> int:
        return self._send(" ".join(arguments) + "\n")

    def _send(self, text: str) -> int:
        sys.stdout.buffer.write(os.fsencode(text))
        sys.stdout.buffer.flush()
        return 0

    def _hello(self, arguments: list[str]) -> int:
        return self._send(
            json.dumps(
                {
                    "protocol": PROTOCOL,
                    "allow": self.allow,
                    "confined": landlock.version() >= landlock.WHOLE,
                    "keep_days": self.store.settings.keep_days,
                }
            )
            + "\n"
        )

    def _list(self, arguments: list[str]) -> int:
        """Write the records that `remote_listing.parse` reads; after `--digest` digests follow."""
        version = _start_rsync_version()  # it runs while the copy is listed
        records = ["begin", f"gate {PROTOCOL} {self._confinement()}", f"free {self.store.room()}"]
        records.append(PACKED)
        records += self._alarm_records()
        records += [f"rotten {path}" for path in sorted(self.store.stored_paths("rotten"))]
        self._write_records(records)
        for tier in sorted(self.store.tiers, key=lambda name: f"{name}/"):
            if tier in arguments:
                self._write_records(self._tier(tier))
        self._write_records([f"rsync {_rsync_version(version)}", "end"])
        return self._send_digests([]) if "--digest" in arguments else 0

    def _alarm_records(self) -> list[str]:
        alarms = sorted(self.store.alarms.all().items())
        records = [
            f"{'notice' if kind in WARNINGS else 'alarm'} {kind} {alarm.since} {alarm.reason}"
            for kind, alarm in alarms
        ]
        records += [
            f"alarm-message {kind} {json.dumps(alarm.reason.form)}"
            for kind, alarm in alarms
            if isinstance(alarm.reason, Message)
        ]
        return records

    def _confinement(self) -> str:
        return "confined" if landlock.version() >= landlock.WHOLE else "loose"

    def _write_records(self, records: Iterable[str]) -> None:
        """Write records in parts, so that a large copy takes no memory."""
        remaining = iter(records)
        while part := list(itertools.islice(remaining, 2000)):
            self._send("".join(f"{record}\0" for record in part))

    def _tier(self, tier: str) -> Iterator[str]:
        folder = os.path.join(self.store.root, tier)
        if os.path.islink(folder):
            yield f"link {tier}"
            return
        if not os.path.isdir(folder):
            yield f"missing {tier}"
            return
        try:
            # By its descriptor, so that the kernel does not walk the folder's path for each file.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                # In their order, which spares the client from sorting them.
                for name in sorted(os.listdir(descriptor)):
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    letter = offsite_letter(status.st_mode)
                    yield (
                        f"entry {letter} {status.st_size} {status.st_mtime_ns} "
                        f"{status.st_ino} {status.st_ctime_ns} {tier}/{name}"
                    )
            finally:
                os.close(descriptor)
        except OSError:
            yield f"unreadable {tier}"

    def _send_digests(self, arguments: list[str]) -> int:
        """Read names from standard input and write the SHA-256 of every such backup.

        A digest that differs from the ledger's marks the backup as rotten.
        """
        # Each name once, however often it is given, and one request of a key at a time.
        names = PathList(
            name for name in gate_input.names(gate_input.whole()) if self.store.accepts(name)
        )
        with gate_limits.one_reading(self.store):
            return self._digests(names)

    def _digests(self, names: PathList) -> int:
        ledger = self.store.ledger() if names else server_store.ledger_table()
        ledger.share(names.table)
        digests: PathTable[str] = PathTable(DIGESTS)

        def digest(name: str) -> tuple[str, str] | None:
            try:
                return name, tree_digests.sha256(os.path.join(self.store.root, name))
            except OSError:
                return None

        with _keepalive(b"\0"):
            with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
                # In shares: a task for each of many small files would cost more than reading them.
                most = min(_MOST_SHARE, 1 + len(names) // (8 * (os.cpu_count() or 1)))
                remaining = iter(names)
                while some := list(itertools.islice(remaining, most * _MOST_TASKS)):
                    shares = [some[at : at + most] for at in range(0, len(some), most)]
                    for share in pool.map(lambda share: list(map(digest, share)), shares):
                        for one in filter(None, share):
                            digests.add(one[0], (one[1],))
            digests.share(names.table)
            with self._notifying():
                server_verification.compare_with_ledger(self.store, ledger, digests)
        self._write_records(f"{content} *{name}" for name, content in digests.items())
        # Reading may have raised or ended an alarm.
        self._write_records([*self._alarm_records(), "end"])
        return 0

    def _commit(self, arguments: list[str]) -> int:
        if self.allow != WRITE:
            raise Refused(_("this key may only read"))
        with self._notifying(), ArrivalSession(self.store) as session:
            clear_obstructions(self.store)
            rest = b""
            if arguments == [PACKED]:
                with _keepalive(b"\n"):
                    rest = packed_files.receive(self.store, session, sys.stdin.fileno())
                self._send(packed_stream.RECEIVED.decode("ascii"))
            if not rest:
                session.watch(sys.stdin.buffer)
            try:
                listed = client_inventory.read(gate_input.text(rest), self.store)
            except ValueError as error:
                raise ResilienceError(f"the inventory is not JSON: {error}") from error
            with _keepalive(b"\n"):
                result = placement.apply_inventory(self.store, listed, session=session)
        output = {
            **{field.name: getattr(result, field.name) for field in dataclasses.fields(result)},
            "placed": result.placed[:_MOST_NAMED],
            "placed_count": len(result.placed),
            "refused_message": to_form(result.refused),
        }
        return self._send(json.dumps(output) + "\n")

    def _rsync(self, arguments: list[str]) -> NoReturn:
        if arguments[:2] == ["--server", "--sender"]:
            allowed = self._sending(arguments[2:])
        elif arguments[:1] == ["--server"] and self.allow == WRITE:
            allowed = self._receiving(arguments[1:])
        else:
            raise Refused(_("rsync may not do that with this key"))

        program = shutil.which("rsync", path="/usr/local/bin:/usr/bin:/bin")
        if program is None:
            raise ResilienceError("rsync: command not found", remedy="install it on the server")
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
        os.execve(program, ["rsync", "--server", *allowed], environment)

    def _receiving(self, arguments: list[str]) -> list[str]:
        """Confine this process to `incoming`, and return the arguments of the receiving rsync."""
        options, paths = allowed_options(arguments, _SHORT_WRITE)
        if len(paths) != 1 or paths[0].rstrip("/") not in ("incoming", self.store.root.rstrip("/")):
            raise Refused(_("this key may write to one folder only"))
        room = self.store.room()
        if room == 0:
            raise ResilienceError(f"No space left on device: {FULL}")
        with self._notifying():
            clear_obstructions(self.store)
        recover_sessions(self.store)
        if gate_limits.receives_alone(self.store):
            resume_partial_files(self.store)
        os.umask(0o077)
        # One file may not take the reserve either. Python ignores SIGXFSZ, and rsync inherits that,
        # so that it reports "File too large".
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        os.chdir(self.store.incoming)
        gate_watch.start(self.config_file)
        landlock.write_only_in(self.store.incoming)
        return [*options, ".", f"{self.store.incoming}/"]

    def _sending(self, arguments: list[str]) -> list[str]:
        """Return the arguments of an rsync that reads from the copy.

        Its paths lie in tiers, of backups or of previous versions: a filter that keeps something
        out could be cleared by the client.
        """
        if self.allow != READ:
            raise Refused(_("this key may not read what is there"))
        options, paths = allowed_options(arguments, _SHORT_READ)
        os.chdir(self.store.root)
        root = os.path.realpath(self.store.root)
        allowed = []
        for path in paths:
            whole = os.path.realpath(os.path.join(root, path))
            inner = os.path.relpath(whole, root)
            if inner == ".":
                allowed += [name for name in sorted(os.listdir(root)) if self._is_readable(name)]
            elif self._is_readable(inner) and not set("*?[\\") & set(path) and path[0] != "-":
                allowed.append(inner + ("/" if path.endswith("/") else ""))
            else:
                tiers = ", ".join(self.store.tiers)
                raise Refused(_("this key may read these folders only: %(tiers)s", tiers=tiers))
        return ["--sender", *options, ".", *allowed]

    def _is_readable(self, path: str) -> bool:
        """Return whether a path lies in a tier, of backups or of previous versions."""
        first, _slash, rest = path.partition("/")
        if re.fullmatch(r"old_\d{8}_\d{6}", first):
            return not rest or rest.partition("/")[0] in self.store.tiers
        return first in self.store.tiers


def allowed_options(
    arguments: Sequence[str], short: re.Pattern[str]
) -> tuple[list[str], list[str]]:
    """Return the options and the paths of an rsync server's command line.

    Raises:
        Refused: an option is not on the list.
    """
    options: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != ".":
        word = rest.pop(0)
        if word == _PARTIAL[0] and rest[:1] == [_PARTIAL[1]]:
            options += [word, rest.pop(0)]
        elif short.fullmatch(word) or _LONG.fullmatch(word):
            options.append(word)
        else:
            raise Refused(
                _("the rsync option %(option)s is not allowed", option=readable(word)[:80])
            )
    if len(rest) < 2:
        raise Refused(_("rsync is given no folder"))
    return options, rest[1:]


@contextlib.contextmanager
def _keepalive(byte: bytes) -> Iterator[None]:
    """Write a byte without meaning each second, so that the client sees that work goes on."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(1):
            with contextlib.suppress(OSError):  # the client is gone; the work goes on
                sys.stdout.buffer.write(byte)
                sys.stdout.buffer.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def offsite_letter(mode: int) -> str:
    """Return the letter of a file's kind, as find(1) prints it."""
    return _LETTERS.get(mode & 0o170000, "o")


_LETTERS: Mapping[int, str] = {0o100000: "f", 0o040000: "d", 0o120000: "l", 0o010000: "p"}


def _start_rsync_version() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["rsync", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _rsync_version(started: subprocess.Popen[bytes] | None) -> str:
    if started is None:
        return ""
    with started:
        try:
            output, _errors = started.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            started.kill()
            return ""
    return os.fsdecode(output).partition("\n")[0]


if __name__ == "__main__":
    raise SystemExit(main())
