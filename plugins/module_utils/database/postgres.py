# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find PostgreSQL's programs, and run them as a user that is not root, as its server demands."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import shutil
import urllib.parse
from collections.abc import Sequence
from typing import Any

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _

# What a restore drill needs; plain dumps go to the server through psycopg2.
PROGRAMS = ("initdb", "postgres", "pg_restore")
# What restoring into an external server needs.
CLIENTS = ("pg_restore",)
# Where Debian, Red Hat and a source build put them.
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
# `nobody` on Debian; it owns no file.
UNPRIVILEGED = 65534


@dataclasses.dataclass(frozen=True)
class Binaries:
    """PostgreSQL's programs of one version.

    Attributes:
        bin_dir: the folder that holds them.
        major: the major version, 16 for 16.14.
        version: the whole version as the programs print it.
    """

    bin_dir: str
    major: int
    version: str

    def path(self, program: str) -> str:
        """Return the full path of one of the programs."""
        return os.path.join(self.bin_dir, program)

    @property
    def contained(self) -> bool:
        """Return whether they run in a container, where they are not root of this host anyway."""
        return False

    def command(
        self, program: str, arguments: Sequence[str], reads: Sequence[str] = ()
    ) -> list[str]:
        """Return the command line of one of the programs.

        Args:
            program: its name.
            arguments: for it, as on this host.
            reads: files and folders that it must be able to read.
        """
        return [self.path(program), *arguments]


@dataclasses.dataclass(frozen=True)
class Server:
    """The address of a running staging server.

    Attributes:
        host: a socket folder, or a host name.
        port: of the server.
        user, password: of a superuser.
        binaries: the programs that match it.
        mark: comment that identifies the databases of this collection there; empty where the
            whole server belongs to it.
        maintenance_db: the database to connect to for what concerns others, such as to make one.
    """

    host: str
    port: int
    user: str
    password: str
    binaries: Binaries
    mark: str = ""
    maintenance_db: str = "postgres"

    def dsn(self, database: str) -> dict[str, Any]:
        """Return the parameters of a connection to a database of it."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": database,
            "connect_timeout": 10,
        }

    def url(self, database: str) -> str:
        """Return the same as a libpq URL, with the host as a parameter: it may have slashes."""
        user, password, name = (
            urllib.parse.quote(text, safe="") for text in (self.user, self.password, database)
        )
        where = urllib.parse.urlencode({"host": self.host, "port": self.port})
        return f"postgresql://{user}:{password}@/{name}?{where}"


def version_of(program: str) -> tuple[int, str]:
    """Return major and whole version of one PostgreSQL program, from its `--version`.

    Raises:
        ResilienceError: it cannot be run, or prints no version.
    """
    outcome = process.run([program, "--version"], time_limit=20)
    found = re.search(r"\(PostgreSQL\) ((\d+)\S*)", outcome.output)
    if outcome.code != 0 or not found:
        raise ResilienceError(
            _(
                "%(program)s ended with %(ending)s: %(why)s",
                program=f"{program} --version",
                ending=outcome.ending(),
                why=outcome.errors.strip()[:200],
            ),
            option="bin_dir",
            value=os.path.dirname(program),
            remedy=_("name the folder of a complete PostgreSQL installation"),
        )
    return int(found[2]), found[1]


def find_binaries(
    bin_dir: str | None = None,
    *,
    at_least: int = 0,
    at_most: int = 999,
    programs: Sequence[str] = PROGRAMS,
) -> Binaries:
    """Return the newest fitting installation of PostgreSQL's programs.

    Args:
        bin_dir: the folder to take them from; every known place is searched when left out.
        at_least, at_most: the major versions that will do.
        programs: what must be among them.

    Raises:
        ResilienceError: there are none, the folder lacks some, or they are too old.
    """
    if bin_dir:
        lacking = [name for name in programs if not os.access(os.path.join(bin_dir, name), os.X_OK)]
        if lacking:
            raise ResilienceError(
                _("the folder lacks PostgreSQL's %(names)s", names=", ".join(lacking)),
                option="bin_dir",
                value=bin_dir,
                remedy=_("name the bin folder of a PostgreSQL server installation"),
            )
        found = [Binaries(bin_dir, *version_of(os.path.join(bin_dir, programs[0])))]
    else:
        found = _installed(programs)
    fitting = [binaries for binaries in found if at_least <= binaries.major <= at_most]
    if not fitting:
        have = ", ".join(str(binaries.major) for binaries in found) or _("none")
        raise ResilienceError(
            _(
                "PostgreSQL %(expected)s or newer is needed, installed: %(have)s",
                expected=at_least or 16,
                have=have,
            ),
            option="bin_dir",
            value=bin_dir,
            remedy=_(
                "install postgresql-%(version)d, or name the bin folder of one",
                version=at_least or 16,
            ),
        )
    return max(fitting, key=lambda binaries: binaries.major)


def _installed(programs: Sequence[str]) -> list[Binaries]:
    folders = [folder for place in PLACES for folder in glob.glob(place)]
    on_path = shutil.which("pg_restore")
    if on_path:
        folders.append(os.path.dirname(os.path.realpath(on_path)))
    whole = {
        os.path.realpath(folder)
        for folder in folders
        if all(os.access(os.path.join(folder, name), os.X_OK) for name in programs)
    }
    return [Binaries(folder, *version_of(os.path.join(folder, programs[0]))) for folder in whole]


def unprivileged(paths: Sequence[str], uid: int = UNPRIVILEGED) -> list[str]:
    """Return what to put before a command so that it does not run as root.

    Empty where this process is not root. Where one of `paths`, or a folder above it, is closed to
    that user (a backup tree under `/root`), the command keeps the one capability to read past that
    (CAP_DAC_READ_SEARCH, capabilities(7)) and no other.

    Args:
        paths: files and folders that the command must reach.
        uid: the numeric user and group to run as.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    keep = "-all"
    # The folder of a link may be closed as well as the one that the link leads to.
    ways = {way for path in paths for way in (os.path.abspath(path), os.path.realpath(path))}
    if not all(map(open_to_others, ways)):
        keep += ",+dac_read_search"
        # access(2) leaves capabilities out of account for a user that is not root, unless this bit
        # is set (capabilities(7), "The securebits flags"); initdb calls it.
        prefix.append("--securebits=+no_setuid_fixup")
    return [*prefix, f"--inh-caps={keep}", f"--ambient-caps={keep}", f"--bounding-set={keep}"]


def client_prefix(server: Server, *paths: str, uid: int = UNPRIVILEGED) -> list[str]:
    """Return what to put before a client program of a server so that it does not run as root.

    Its socket may lie in a folder that is closed to others, now or by the next call.

    Args:
        server: where the program connects to.
        paths: files and folders that it must reach beside the programs and the socket.
        uid: as of `unprivileged`.
    """
    sockets = [os.path.join(server.host, "socket")] if server.host.startswith("/") else []
    return unprivileged([server.binaries.bin_dir, *paths, *sockets], uid=uid)


def connection_string(dbname: str) -> str:
    """Return a database's name for `--dbname`, which takes some names for a connection string."""
    if re.fullmatch(r"\w+", dbname):
        return dbname
    return "dbname='" + dbname.replace("\\", "\\\\").replace("'", "\\'") + "'"


def open_to_others(path: str) -> bool:
    """Return whether every user can reach a path and read it, of a folder the files in it, too."""
    if os.path.isfile(path) and not os.stat(path).st_mode & 0o004:
        return False
    if os.path.isdir(path):
        if os.stat(path).st_mode & 0o005 != 0o005:
            return False
        with os.scandir(path) as entries:
            if not all(one.stat().st_mode & 0o004 for one in entries if one.is_file()):
                return False
    folder = os.path.dirname(path)
    while True:
        if not os.stat(folder).st_mode & 0o001:
            return False
        if folder == "/":
            return True
        folder = os.path.dirname(folder)
