# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our key may do on the backup server: the forced command in `authorized_keys`.

sshd runs this instead of whatever the client asks for, and tells what that was in
SSH_ORIGINAL_COMMAND. Whoever holds the key may see what the copy holds, and add to it. A writing
rsync is started with options of ours only, and the kernel keeps it in `incoming`; what comes of
that is for the server's own job (`keeper`) to say.

rsync's own `rrsync` is not used: whether it can refuse to delete (`-no-del`) and to overwrite
(`-no-overwrite`) depends on its version (`rrsync_features` tells), and with all of them a key that
may write a file in its place may also leave half of one there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, NoReturn

from ..common import settings
from ..common.errors import ResilienceError
from ..common.messages import Message, _, to_form
from ..inventory import inventory
from ..inventory.inventory import readable
from . import landlock, retention, server_alarms, server_store
from .incoming import Arrivals, adopt
from .server_settings import ServerSettings

PROTOCOL = 1
WRITE, READ = "write", "read"
# An inventory of 100,000 backups has 20 MB.
MOST_INPUT = 64 << 20
FULL = _("the disk is full up to its reserve")
# Between two looks at the room that is left while something comes, seconds.
LOOK_SECONDS = 0.1
# Protocol features of the client's rsync follow `e`; they end the short options.
_SHORT_WRITE = re.compile(r"-[trpvnzR]*(e[0-9A-Za-z.]*)?")
_SHORT_READ = re.compile(r"-[vtprlogDnzR]*(e[0-9A-Za-z.]*)?")
_LONG = re.compile(
    r"--(log-format=[%\w ]{0,40}|timeout=\d{1,6}|bwlimit=[\d.]{1,12}|stats|fsync|no-inc-recursive)"
)
_PARTIAL = ("--partial-dir", ".rsync-partial")


class Refused(Exception):
    """What was asked for is not allowed; `why` says it for pages of every language."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers one request.

    Args:
        arguments: `--config FILE` and `--allow write` or `--allow read`; those of the process when
            left out.

    Returns:
        The exit code: 0 done, 1 refused, 2 failed, 75 (EX_TEMPFAIL) another job is at work.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = dict(zip(given[::2], given[1::2], strict=True))
        path, allow = options["--config"], options["--allow"]
    except (KeyError, ValueError):
        return _say("usage: gate --config FILE --allow write|read", 2)
    asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    try:
        gate = Gate(server_store.Store(settings.load(path, ServerSettings)), allow, path)
        return gate.answer(asked)
    except Refused as error:
        return _say(f"chefwell gate: refused: {error}", 1)
    except server_store.Busy as error:
        return _say(f"chefwell gate: busy: {error}", 75)
    except (ResilienceError, OSError) as error:
        return _say(f"chefwell gate: {error}", 2)


def _say(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


class Gate:
    """One key's door to one copy.

    Args:
        store: the copy.
        allow: `write` to add to it, `read` to fetch from it; both may list it.
        config_file: the client's configuration.
    """

    def __init__(self, store: server_store.Store, allow: str, config_file: str) -> None:
        self.store = store
        self.allow = allow
        self.config_file = config_file

    def answer(self, asked: str) -> int:
        """Does what was asked for, if it is allowed.

        Raises:
            Refused: it is not.
        """
        try:
            words = shlex.split(asked)
        except ValueError:
            words = []
        answers: dict[str, Callable[[list[str]], int]] = {
            "hostname": self._hostname,
            "echo": self._echo,
            "chefwell-hello": self._hello,
            "chefwell-list": self._list,
            "chefwell-digest": self._digest,
            "chefwell-commit": self._commit,
            "rsync": self._rsync,
        }
        try:
            if not words or words[0] not in answers:
                raise Refused(
                    _(
                        "%(what)s is not among what this key may do",
                        what=repr(readable(words[0])[:80]),
                    )
                    if words
                    else _("this key opens no shell")
                )
            return answers[words[0]](words[1:])
        except Refused as error:
            self._record(asked, error.why)
            raise

    def _record(self, asked: str, why: str) -> None:
        """Keeps what was refused: a key that asks for more than it may is perhaps a stolen one."""
        came_from = os.environ.get("SSH_CONNECTION", "?").split(" ")[0]
        line = _(
            "%(time)s, from %(address)s: %(why)s: %(asked)s",
            time=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            address=came_from,
            why=why,
            asked=readable(asked)[:300],
        )
        path = os.path.join(self.store.own, "refused.log")
        if os.path.exists(path) and os.path.getsize(path) > 1 << 20:
            os.replace(path, f"{path}.1")
        with open(path, "a", encoding="utf-8") as log:
            log.write(line + "\n")
        with self._told():
            self.store.alarm(server_store.REFUSED, line)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Has people told at once of an alarm that is raised within."""
        before = self.store.alarms().keys()
        yield
        if self.store.alarms().keys() - before:
            server_alarms.tell_soon(self.store, self.config_file)

    def _hostname(self, words: list[str]) -> int:
        if words:
            raise Refused(_("hostname takes no arguments"))
        return self._tell(os.uname().nodename + "\n")

    def _echo(self, words: list[str]) -> int:
        return self._tell(" ".join(words) + "\n")

    def _tell(self, text: str) -> int:
        sys.stdout.buffer.write(os.fsencode(text))
        sys.stdout.buffer.flush()
        return 0

    def _hello(self, words: list[str]) -> int:
        return self._tell(
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

    def _list(self, words: list[str]) -> int:
        """The records that `remote_listing.parse` reads; `--digest` has `_digest` follow."""
        asked = _ask_rsync_version()  # it answers while we look at the copy
        records = [f"gate {PROTOCOL} {self._confined()}", f"free {self.store.room()}"]
        records += [
            f"alarm {kind} {alarm['since']} {alarm['saw']}"
            for kind, alarm in sorted(self.store.alarms().items())
        ]
        records += [
            f"said {kind} {json.dumps(alarm['saw'].form)}"
            for kind, alarm in sorted(self.store.alarms().items())
            if isinstance(alarm["saw"], Message)
        ]
        for tier in self.store.tiers:
            if tier in words:
                records += self._tier(tier)
        records.append(f"rsync {_rsync_version(asked)}")
        self._tell("".join(f"{record}\0" for record in [*records, "end"]))
        return self._digest([]) if "--digest" in words else 0

    def _confined(self) -> str:
        return "confined" if landlock.version() >= landlock.WHOLE else "loose"

    def _tier(self, tier: str) -> list[str]:
        folder = os.path.join(self.store.root, tier)
        if os.path.islink(folder):
            return [f"link {tier}"]
        if not os.path.isdir(folder):
            return [f"missing {tier}"]
        records = []
        try:
            # By its descriptor, so that the kernel does not walk the folder's path for each file.
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with os.scandir(opened) as entries:
                    for entry in entries:
                        seen = entry.stat(follow_symlinks=False)
                        letter = offsite_letter(seen.st_mode)
                        records.append(
                            f"entry {letter} {seen.st_size} {seen.st_mtime_ns} {seen.st_ino} "
                            f"{seen.st_ctime_ns} {tier}/{entry.name}"
                        )
            finally:
                os.close(opened)
        except OSError:
            records.append(f"unreadable {tier}")
        return records

    def _digest(self, words: list[str]) -> int:
        """Reads names from the client and every such backup, and tells its SHA-256."""
        names = [os.fsdecode(name) for name in _input().split(b"\0") if name]
        wanted = [name for name in names if self.store.accepts(name)]

        def one(name: str) -> str | None:
            try:
                return f"{inventory.sha256(os.path.join(self.store.root, name))} *{name}"
            except OSError:
                return None

        with (
            _signs_of_life(b"\0"),
            ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
        ):
            records = [record for record in pool.map(one, wanted) if record]
        return self._tell("".join(f"{record}\0" for record in [*records, "end"]))

    def _commit(self, words: list[str]) -> int:
        if self.allow != WRITE:
            raise Refused(_("this key may only read"))

        arrivals = Arrivals(self.store)
        arrivals.watch(sys.stdin.buffer)
        try:
            values = json.loads(_input())
        except ValueError as error:
            raise ResilienceError(f"the inventory is no JSON: {error}") from error
        with _signs_of_life(b"\n"), self._told():
            done = retention.settle(self.store, values, digest=arrivals.digest)
        answer = {**dataclasses.asdict(done), "refused_message": to_form(done.refused)}
        return self._tell(json.dumps(answer) + "\n")

    def _rsync(self, words: list[str]) -> NoReturn:
        if words[:2] == ["--server", "--sender"]:
            arguments = self._sending(words[2:])
        elif words[:1] == ["--server"] and self.allow == WRITE:
            arguments = self._receiving(words[1:])
        else:
            raise Refused(_("rsync may not do that with this key"))

        program = shutil.which("rsync", path="/usr/local/bin:/usr/bin:/bin")
        if program is None:
            raise ResilienceError("rsync: command not found", remedy="install it on the server")
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
        os.execve(program, ["rsync", "--server", *arguments], environment)

    def _receiving(self, words: list[str]) -> list[str]:
        """The arguments for an rsync that writes to `incoming`, and this process bound to that."""

        options, paths = allowed_options(words, _SHORT_WRITE)
        if len(paths) != 1 or paths[0].rstrip("/") not in ("incoming", self.store.root.rstrip("/")):
            raise Refused(_("this key may write to one folder only"))
        room = self.store.room()
        if room == 0:
            raise ResilienceError(f"No space left on device: {FULL}")
        self.store.arrived()  # whatever modes a client left there, the folders can be used
        adopt(self.store)
        os.umask(0o077)
        # One file may not take the reserve either. Python ignores SIGXFSZ, and rsync inherits that,
        # so that it says "File too large".
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        os.chdir(self.store.incoming)
        _watch_room(self.store)
        landlock.write_only_in(self.store.incoming)
        return [*options, ".", f"{self.store.incoming}/"]

    def _sending(self, words: list[str]) -> list[str]:
        """The arguments for an rsync that reads from the copy."""
        if self.allow != READ:
            raise Refused(_("this key may not read what is there"))
        options, paths = allowed_options(words, _SHORT_READ)
        os.chdir(self.store.root)
        root = os.path.realpath(self.store.root)
        for number, path in enumerate(paths):
            whole = os.path.realpath(os.path.join(root, path))
            inside = whole == root or whole.startswith(f"{root}/")
            own = whole.startswith(os.path.realpath(self.store.own))
            if not inside or own or set("*?[\\") & set(path) or path.startswith("-"):
                raise Refused(_("this key may read the backups of one folder only"))
            slash = "/" if path.endswith("/") else ""
            paths[number] = os.path.relpath(whole, root) + slash
        return ["--sender", *options, "--exclude=/.chefwell", ".", *paths]


def allowed_options(words: Sequence[str], short: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The options and the paths of an rsync server's command line.

    Raises:
        Refused: an option that is not on the list, whatever it may mean.
    """
    options: list[str] = []
    rest = list(words)
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


def _watch_room(store: server_store.Store) -> None:
    """Has a process of its own end this one, the rsync that it becomes, when the disk is full up to
    its reserve: the limit of one file is none for many, and several may come at once."""

    ended = os.pidfd_open(os.getpid())
    if os.fork():
        os.close(ended)
        return
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):  # rsync's own way to the client; its end is to be seen there
            os.dup2(nothing, number)
        while not select.select([ended], [], [], LOOK_SECONDS)[0]:
            if store.room() == 0:
                with contextlib.suppress(OSError):  # whoever hears nothing of it is ended, too
                    os.write(2, b"chefwell gate: No space left on device: %s\n" % FULL.encode())
                signal.pidfd_send_signal(ended, signal.SIGTERM)
                break
    finally:
        os._exit(0)


@contextlib.contextmanager
def _signs_of_life(byte: bytes) -> Iterator[None]:
    """Writes a byte that means nothing each second: who works for long is not silent."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(1):
            with contextlib.suppress(OSError):  # whoever asked is gone; the work goes on
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
    """The letter of a file's kind, as find(1) prints it."""
    return _LETTERS.get(mode & 0o170000, "o")


_LETTERS: Mapping[int, str] = {0o100000: "f", 0o040000: "d", 0o120000: "l", 0o010000: "p"}


def _ask_rsync_version() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            ["rsync", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _rsync_version(asked: subprocess.Popen[bytes] | None) -> str:
    if asked is None:
        return ""
    with asked:
        try:
            _, _errors = asked.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            asked.kill()
            return ""
    return os.fsdecode(_).partition("\n")[0]


def _input(stream: IO[bytes] | None = None) -> bytes:
    content = (stream or sys.stdin.buffer).read(MOST_INPUT + 1)
    if len(content) > MOST_INPUT:
        raise Refused(_("more input than an inventory can have"))
    return content


if __name__ == "__main__":
    raise SystemExit(main())
