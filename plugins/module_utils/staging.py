# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging: the throw-away place where a backup is tried. What every kind of it has in common.

A kind is one file, `staging_<kind>.py`, with a class that does what `Engine` lists. Everything that
it makes lies in the work folder or is noted there, so that what a killed drill left behind is
found and removed by the next one. One drill at a time: a lock in the work folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import importlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from .errors import ResilienceError
from .postgres import Server

KINDS = ("embedded",)
NOTE = "staging.json"
# What the backup that was restored last demands; `expectation.Expectation.to_dict`.
WANTED = "wanted.json"
LOCK = "lock"


@dataclasses.dataclass(frozen=True)
class Backend:
    """The application that is to serve the restored database.

    Attributes:
        command: starts it, program and arguments; empty for none. Its environment has
            `DATABASE_URL`, `HOST`, `PORT`, and what `env` adds, and nothing of ours but PATH.
        env: more environment; mail, queues, payments and schedulers are switched off here.
        port: loopback port that it is to listen on.
        health_path: answers 200 when it is ready.
        seconds: that it has to become ready.
    """

    command: Sequence[str] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    port: int = 3001
    health_path: str = "/health"
    seconds: float = 60

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@dataclasses.dataclass(frozen=True)
class Production:
    """The database that is never to be restored into: where it is.

    Attributes:
        host: name, address or socket folder.
        port: of its server.
        dbname: its name.
    """

    host: str = ""
    port: int = 5432
    dbname: str = ""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What staging is to be.

    Attributes:
        kind: one of `KINDS`.
        work_dir: folder of its own, for everything that is made.
        database: name of the restored database.
        bin_dir: PostgreSQL's programs; the newest installed ones when empty.
        backend: the application.
        production: what is never touched.
    """

    kind: str
    work_dir: str
    database: str = "restaurante_staging"
    bin_dir: str = ""
    backend: Backend = dataclasses.field(default_factory=Backend)
    production: Production = dataclasses.field(default_factory=Production)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ResilienceError(
                "there is no such staging engine",
                option="engine",
                value=self.kind,
                remedy=f"name one of {', '.join(KINDS)}",
            )
        if not os.path.isabs(self.work_dir) or os.path.normpath(self.work_dir) == "/":
            raise ResilienceError(
                "the work folder is no absolute path of its own",
                option="work_dir",
                value=self.work_dir,
                remedy="name one such as /var/lib/chefwell-resilience/staging",
            )


@dataclasses.dataclass(frozen=True)
class Note:
    """What stands, as noted in the work folder.

    Attributes:
        kind: its engine.
        created: ISO 8601.
        kept: whether somebody asked for it to stay (`setup-staging`, `--keep`) until
            `cleanup-staging`; otherwise it is a drill's, and left over when no drill runs.
        restored: what the last restore into it was: `backup` and `restore` of the drill's
            result; None before one.
    """

    kind: str
    created: str
    kept: bool
    restored: Mapping[str, Any] | None = None


class Engine(Protocol):
    """One kind of staging."""

    def check(self) -> None:
        """Finds out beforehand whether it can be made: programs, ports, room.

        Raises:
            ResilienceError: it cannot, and why.
        """

    def up(self) -> Server:
        """Makes the server, or takes the one that stands, and waits until it answers.

        Raises:
            ResilienceError: it does not come up.
        """

    def find(self) -> Server | None:
        """The server that stands and answers; None without one."""

    def start_backend(self, server: Server) -> str:
        """Starts the application over the restored database and waits; gives its URL.

        Raises:
            ResilienceError: it does not become healthy; with its last words.
        """

    def backend_url(self) -> str | None:
        """Where the running application answers; None without one."""

    def stop_backend(self) -> None:
        """Ends the application, if it runs: a database in use cannot be replaced."""

    def down(self) -> list[str]:
        """Removes everything it made, and nothing else; in words what that was."""


def production(values: Mapping[str, Any]) -> Production:
    """Production as a configuration gives it.

    Raises:
        ResilienceError: it has an unknown key, or a port that is no number.
    """
    known = {field.name for field in dataclasses.fields(Production)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ResilienceError(
            f"production has an unknown key {unknown[0]!r}",
            option="production",
            value=unknown[0],
            remedy=f"known keys: {', '.join(sorted(known))}",
        )
    try:
        return Production(
            str(values.get("host", "")),
            int(values.get("port", 5432)),
            str(values.get("dbname", "")),
        )
    except (TypeError, ValueError) as error:
        raise ResilienceError(
            "production's port is no number",
            option="production.port",
            value=values.get("port"),
            remedy="give one such as 5432",
        ) from error


def engine(settings: Settings) -> Engine:
    """The engine of the settings' kind."""
    module = importlib.import_module(f".staging_{settings.kind}", __package__)
    made: Engine = module.engine(settings)
    return made


def read_note(settings: Settings) -> Note | None:
    """What is noted to stand; None without a note. A damaged note is as good as none."""
    try:
        with open(os.path.join(settings.work_dir, NOTE), encoding="utf-8") as file:
            return Note(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def write_note(settings: Settings, *, kept: bool, restored: Mapping[str, Any] | None) -> None:
    """Notes what stands, before or while it is made.

    Raises:
        ResilienceError: the work folder cannot be written to.
    """
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    note = Note(settings.kind, created, kept, restored)
    path = os.path.join(settings.work_dir, NOTE)
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(note), file)
        os.replace(f"{path}.new", path)
    except OSError as error:
        raise _unusable(settings.work_dir, error) from error


def remove(settings: Settings) -> list[str]:
    """Removes staging whole, whatever state it is in; in words what was removed."""
    removed = engine(settings).down()
    for name in (NOTE, WANTED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(settings.work_dir, name))
    return removed


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Nobody else works on the same staging meanwhile.

    Raises:
        ResilienceError: somebody does, or the work folder cannot be made.
    """
    try:
        os.makedirs(settings.work_dir, mode=0o711, exist_ok=True)
        path = os.path.join(settings.work_dir, LOCK)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(settings.work_dir, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResilienceError(
                "another drill works on this staging",
                option="work_dir",
                value=settings.work_dir,
                remedy="wait until it has ended",
            ) from error
        yield
    finally:
        os.close(lock)


def _unusable(work_dir: str, error: OSError) -> ResilienceError:
    return ResilienceError(
        f"the work folder cannot be used: {error.strerror}",
        option="work_dir",
        value=work_dir,
        remedy="name a folder that may be written to, and make room there",
    )


def refuse_production(settings: Settings, host: str, port: int) -> None:
    """Refuses a staging server that is, or resolves to, production's.

    A socket folder is a server of its own. A name is resolved: what counts is where it leads.

    Args:
        settings: with `production`.
        host, port: of the staging server.

    Raises:
        ResilienceError: they are the same server.
    """
    production = settings.production
    if not production.host or port != production.port:
        return
    ours, theirs = _addresses(host), _addresses(production.host)
    local = {"loopback"} if any(map(_is_loopback, ours)) else set()
    local_theirs = {"loopback"} if any(map(_is_loopback, theirs)) else set()
    if (ours | local) & (theirs | local_theirs):
        raise ResilienceError(
            f"staging is production: {host}:{port} is {production.host}:{production.port}",
            option="engine",
            value=settings.kind,
            remedy="give staging a server of its own; nothing was touched",
        )


def _addresses(host: str) -> set[str]:
    if host.startswith("/"):
        return {os.path.realpath(host)}
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)} | {host.lower()}
    except OSError:
        return {host.lower()}


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
