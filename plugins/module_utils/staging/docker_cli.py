# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker through its command line, as the owner of a host uses it: found, run, its errors told.

The command line is on every host that has Docker; a Python library is not.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _

# Cron gives its jobs a PATH without the administrator's folders.
PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 60
# For what may fetch or build an image first.
LONG_SECONDS = 900


class Docker:
    """One Docker engine.

    Args:
        host: where it listens, as `DOCKER_HOST` has it; the system's own when empty.
        compose: the program, and arguments, that does what `docker-compose` does; found when empty.
    """

    def __init__(self, host: str = "", compose: Sequence[str] = ()) -> None:
        self.host = host
        self._compose = list(compose)
        self.env = {"PATH": PLACES, "LC_ALL": "C.UTF-8", "HOME": os.environ.get("HOME", "/root")}
        if host:
            self.env["DOCKER_HOST"] = host

    @property
    def program(self) -> str:
        """The full path of `docker`.

        Raises:
            ResilienceError: it is not installed.
        """
        found = shutil.which("docker", path=PLACES)
        if not found:
            raise ResilienceError(
                _("Docker is not installed"),
                option="engine",
                value="compose",
                remedy=_("install docker.io and a compose plugin, or use the engine embedded"),
            )
        return found

    def installed(self) -> bool:
        """Whether there is a `docker` at all."""
        return shutil.which("docker", path=PLACES) is not None

    def check(self) -> None:
        """Finds out whether the engine answers.

        Raises:
            ResilienceError: it does not; with its words.
        """
        self.run("version", "--format", "{{.Server.Version}}", seconds=20)

    def run(self, *arguments: str, seconds: float = SECONDS) -> str:
        """What a `docker` command wrote.

        Raises:
            ResilienceError: it failed or took too long; with its words.
        """
        return self._done([self.program, *arguments], seconds, {})

    def compose(
        self,
        file: str,
        *arguments: str,
        seconds: float = LONG_SECONDS,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """What a compose command over this file wrote.

        Args:
            file: the compose file.
            arguments: the command's.
            seconds: its time limit.
            env: values for the file's variables.

        Raises:
            ResilienceError: there is no compose, or it failed; with its words.
        """
        return self._done([*self.compose_command(), "-f", file, *arguments], seconds, env or {})

    def compose_command(self) -> list[str]:
        """Docker's plugin where there is one, else the older program of its own.

        Raises:
            ResilienceError: there is neither.
        """
        if not self._compose:
            plugin = process.run([self.program, "compose", "version"], time_limit=20, env=self.env)
            alone = shutil.which("docker-compose", path=PLACES)
            if plugin.code == 0:
                self._compose = [self.program, "compose"]
            elif alone:
                self._compose = [alone]
            else:
                raise ResilienceError(
                    _("Docker has no compose"),
                    option="engine",
                    value="compose",
                    remedy=_("install docker-compose-plugin or docker-compose"),
                )
        return self._compose

    def listed(
        self, kind: str, labels: list[str] | tuple[str, ...], *fields: str
    ) -> list[list[str]]:
        """What carries these labels.

        Args:
            kind: `container`, `network`, `volume` or `image`.
            labels: each a name, or name=value.
            fields: Go templates of what is wanted of each.

        Returns:
            The fields of each.
        """
        everything = ["--all", "--no-trunc"] if kind == "container" else []
        shown = "\t".join(fields)
        filters = [f"--filter=label={label}" for label in labels]
        said = self.run(kind, "ls", *everything, *filters, "--format", shown)
        return [line.split("\t") for line in said.splitlines() if line]

    def form(self, container: str) -> str:
        """The last lines that a container wrote, to standard output and error."""
        ended = process.run(
            [self.program, "logs", "--tail", "20", container], time_limit=20, env=self.env
        )
        return ended.output + ended.errors

    def _done(self, arguments: list[str], seconds: float, env: Mapping[str, str]) -> str:
        ended = process.run(arguments, time_limit=seconds, env={**self.env, **env}, cwd="/")
        if ended.code != 0:
            said = (ended.errors.strip() or ended.output.strip())[-600:]
            raise ResilienceError(
                _(
                    "%(program)s ended with %(ending)s: %(why)s",
                    program=f"{os.path.basename(arguments[0])} {_verb(arguments)}",
                    ending=ended.ending(),
                    why=said,
                ),
                option="docker_host",
                value=self.host or "the system's",
                remedy=_("look whether the Docker engine runs and has room"),
            )
        return ended.output.strip("\n")


def _verb(arguments: Sequence[str]) -> str:
    """The first words of a command that are no options: enough to know it by."""
    return " ".join(word for word in arguments[1:] if not word.startswith(("-", "/")))[:60]
