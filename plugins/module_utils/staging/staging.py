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
import importlib
import ipaddress
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from ..checks.checks import Evidence
from ..common.errors import ResilienceError
from ..common.files import replace_json
from ..common.locks import lock_file
from ..common.messages import _
from ..common.system_errors import reason
from ..database.postgres import Binaries, Server

KINDS = ("compose", "external", "embedded")
NOTE = "staging.json"
# What the backup that was restored last demands; `expectation.Expectation.to_dict`.
WANTED = "wanted.json"
LOCK = "lock"


@dataclasses.dataclass(frozen=True)
class BackendSettings:
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
class ProductionSettings:
    """The database that is never to be restored into: where it is.

    Attributes:
        host: name, address or socket folder.
        port: of its server.
        dbname: its name.
        system_identifier: the number that initdb gave its cluster, as
            `SELECT system_identifier FROM pg_control_system()` tells it.
    """

    host: str = ""
    port: int = 5432
    dbname: str = ""
    system_identifier: str = ""


@dataclasses.dataclass(frozen=True)
class ComposeSettings:
    """The Docker Compose file that staging is made of, and what must be known of it.

    Attributes:
        file: its path; the role writes it.
        image: of PostgreSQL.
        port: loopback port that its server is published on.
        volume: the name of its data volume.
        serves: whether it has a service `backend_staging`.
        docker_host: the engine, as `DOCKER_HOST` has it; the system's own when empty.
        command: what does what `docker-compose` does; found when empty.
        seconds: that the server has to answer.
    """

    file: str = ""
    image: str = "postgres:16-alpine"
    port: int = 5433
    volume: str = "staging_postgres_data"
    serves: bool = False
    docker_host: str = ""
    command: Sequence[str] = ()
    seconds: float = 120


@dataclasses.dataclass(frozen=True)
class ExternalSettings:
    """A server that somebody else runs: how to connect to it.

    Attributes:
        host, port: where it is; a socket folder is a host too.
        user, password: of a role that may create databases.
        maintenance_db: database to connect to first.
    """

    host: str = ""
    port: int = 5432
    user: str = "postgres"
    password: str = ""
    maintenance_db: str = "postgres"


@dataclasses.dataclass(frozen=True)
class StagingSettings:
    """What staging is to be.

    Attributes:
        kind: one of `KINDS`.
        work_dir: folder of its own, for everything that is made.
        database: name of the restored database.
        bin_dir: PostgreSQL's programs; the newest installed ones when empty.
        backend: the application.
        production: what is never touched.
        compose: for the kind `compose`.
        external: for the kind `external`.
    """

    kind: str
    work_dir: str
    database: str = "restaurante_staging"
    bin_dir: str = ""
    backend: BackendSettings = dataclasses.field(default_factory=BackendSettings)
    production: ProductionSettings = dataclasses.field(default_factory=ProductionSettings)
    compose: ComposeSettings = dataclasses.field(default_factory=ComposeSettings)
    external: ExternalSettings = dataclasses.field(default_factory=ExternalSettings)

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
class StagingNote:
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

    def binaries(self) -> Binaries:
        """PostgreSQL's programs that restore into it.

        Raises:
            ResilienceError: there are none.
        """

    def serves(self) -> bool:
        """Whether an application is configured to serve the restored database."""

    def data_folder(self) -> str | None:
        """A folder of this host that is where the restored data will be; None if none is."""

    def check(self) -> None:
        """Finds out beforehand whether it can be made: programs, ports, room.

        Raises:
            ResilienceError: it cannot, and why.
        """

    def prepare(self) -> None:
        """Makes ready what `up` needs and what takes time, but starts nothing.

        Called beside the decoding of a backup, of which nothing is known yet; `down` removes what
        it made.

        Raises:
            ResilienceError: it cannot.
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

    def last_words(self) -> str:
        """The end of the application's log; empty without one."""

    def stop_backend(self) -> None:
        """Ends the application, if it runs: a database in use cannot be replaced."""

    def isolation(self, server: Server) -> AbstractContextManager[Callable[[], Evidence]]:
        """Looks, while it lasts, whether anything leaves staging; gives what tells it.

        Entered before the application starts, where one is started. What it gives raises
        `ResilienceError` where the place does not tell, such as a Docker that is gone.
        """

    def down(self) -> list[str]:
        """Removes everything it made, and nothing else; in words what that was."""

    def forget(self) -> list[str]:
        """Removes also what it keeps so that the next one stands sooner; in words what that was."""


Place = TypeVar("Place")


def from_mapping(kind: type[Place], option: str, values: Mapping[str, Any]) -> Place:
    """An object of simple values, such as `Production`, as a configuration gives it.

    Args:
        kind: its dataclass; every field has a default.
        option: the configuration's key, for messages.
        values: by field name; what is left out has its default.

    Raises:
        ResilienceError: there is an unknown key, or a value of another type.
    """
    # mypy cannot say of a type variable that it is a dataclass.
    fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
    known = {field.name: field.default for field in fields}
    for name, value in values.items():
        if name not in known:
            raise ResilienceError(
                f"{option} has an unknown key {name!r}",
                option=option,
                value=name,
                remedy=f"known keys: {', '.join(sorted(known))}",
            )
        wanted = list if isinstance(known[name], tuple) else type(known[name])
        number = wanted in (int, float) and not isinstance(value, bool)
        if not (isinstance(value, (int, float)) if number else isinstance(value, wanted)):
            raise ResilienceError(
                f"{option}'s {name} is of the wrong type",
                option=f"{option}.{name}",
                value=value if name != "password" else "(hidden)",
                remedy=f"give a value of type {wanted.__name__}",
            )
    return kind(**values)


def engine(settings: StagingSettings) -> Engine:
    """The engine of the settings' kind."""
    module = importlib.import_module(f".engine_{settings.kind}", __package__)
    made: Engine = module.engine(settings)
    return made


def read_note(settings: StagingSettings) -> StagingNote | None:
    """What is noted to stand; None without a note. A damaged note is as good as none."""
    try:
        with open(os.path.join(settings.work_dir, NOTE), encoding="utf-8") as file:
            return StagingNote(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def write_note(
    settings: StagingSettings, *, kept: bool, restored: Mapping[str, Any] | None
) -> None:
    """Notes what stands, before or while it is made.

    Raises:
        ResilienceError: the work folder cannot be written to.
    """
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    note = StagingNote(settings.kind, created, kept, restored)
    path = os.path.join(settings.work_dir, NOTE)
    try:
        replace_json(path, dataclasses.asdict(note))
    except OSError as error:
        raise _unusable(settings.work_dir, error) from error


def remove(settings: StagingSettings, *, forget: bool = False) -> list[str]:
    """Removes staging whole, whatever state it is in; in words what was removed.

    Args:
        settings: of staging.
        forget: also what is kept so that the next one stands sooner.
    """
    made = engine(settings)
    removed = made.down() + (made.forget() if forget else [])
    for name in (NOTE, WANTED):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(settings.work_dir, name))
    return removed


@contextlib.contextmanager
def locked(settings: StagingSettings) -> Iterator[None]:
    """Nobody else works on the same staging meanwhile.

    Raises:
        ResilienceError: somebody does, or the work folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            os.makedirs(settings.work_dir, mode=0o711, exist_ok=True)
            lock = stack.enter_context(lock_file(os.path.join(settings.work_dir, LOCK)))
        except OSError as error:
            raise _unusable(settings.work_dir, error) from error
        if lock is None:
            raise ResilienceError(
                _("another drill works on this staging"),
                option="work_dir",
                value=settings.work_dir,
                remedy=_("wait until it has ended"),
            )
        yield


def _unusable(work_dir: str, error: OSError) -> ResilienceError:
    return ResilienceError(
        _("the work folder cannot be used: %(why)s", why=reason(error)),
        option="work_dir",
        value=work_dir,
        remedy=_("name a folder that may be written to, and make room there"),
    )


def refuse_production(
    settings: StagingSettings, host: str, port: int, *, shared: bool = False
) -> None:
    """Refuses a staging server that is, or resolves to, production's.

    A name is resolved: what counts is where it leads. All addresses of this machine are one.

    Args:
        settings: with `production`.
        host, port: of the staging server.
        shared: a socket folder may be one of this machine's server; otherwise it is our own.

    Raises:
        ResilienceError: they are the same server.
    """
    production = settings.production
    if not production.host or port != production.port:
        return
    ours, theirs = _addresses(host, shared), _addresses(production.host, True)
    if ours & theirs:
        raise ResilienceError(
            _(
                "staging is production: %(ours)s is %(theirs)s",
                ours=f"{host}:{port}",
                theirs=f"{production.host}:{production.port}",
            ),
            option="engine",
            value=settings.kind,
            remedy=_("give staging a server of its own; nothing was touched"),
        )


def is_production(settings: StagingSettings, address: str, port: int) -> bool:
    """Whether an address and a port of anywhere, this machine's too, lead to production."""
    try:
        refuse_production(settings, address, port, shared=True)
    except ResilienceError:
        return True
    return False


THIS_MACHINE = "this machine"


def _addresses(host: str, shared: bool) -> set[str]:
    """Where a host leads: its name, its addresses, and whether that is this machine."""
    if host.startswith("/"):
        return {os.path.realpath(host)} | ({THIS_MACHINE} if shared else set())
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError:
        return {host.lower()}
    return found | {host.lower()} | ({THIS_MACHINE} if any(map(_is_ours, found)) else set())


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine: only those can be bound to."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True
