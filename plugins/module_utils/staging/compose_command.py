# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker Compose, which is a command and has no library."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from . import docker_causes
from .docker_engine import PROGRAM_PATH

# It may pull or build an image first.
SECONDS = 900


class ComposeCommand:
    """The program that does what `docker-compose` does.

    Args:
        docker_host: where the engine listens, as `DOCKER_HOST` has it; the system's own when empty.
        command: the program and its first arguments; found when empty.
    """

    def __init__(self, docker_host: str = "", command: Sequence[str] = ()) -> None:
        self.docker_host = docker_host
        self._command = list(command)
        self.environment = {
            "PATH": PROGRAM_PATH,
            "LC_ALL": "C.UTF-8",
            "HOME": os.environ.get("HOME", "/root"),
        }
        if docker_host:
            self.environment["DOCKER_HOST"] = docker_host

    def command(self) -> list[str]:
        """Return Docker's plugin where there is one, else the older program of its own.

        Raises:
            ResilienceError: there is neither.
        """
        if not self._command:
            docker = docker_program()
            plugin = process.run(
                [docker, "compose", "version"], time_limit=20, env=self.environment
            )
            alone = shutil.which("docker-compose", path=PROGRAM_PATH)
            if plugin.code == 0:
                self._command = [docker, "compose"]
            elif alone:
                self._command = [alone]
            else:
                raise ResilienceError(
                    _("Docker has no compose"),
                    option="engine",
                    value="compose",
                    remedy=_("install docker-compose-plugin or docker-compose"),
                )
        return self._command

    def run(
        self,
        file: str,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        seconds: float = SECONDS,
    ) -> None:
        """Run a compose command.

        Args:
            file: the compose file.
            arguments: the command and its own arguments.
            variables: values of the file's variables.
            seconds: its time limit.

        Raises:
            ResilienceError: there is no compose, or it failed; with its last lines.
        """
        command = [*self.command(), "-f", file, *arguments]
        environment = {**self.environment, **(variables or {})}
        ended = process.run(command, time_limit=seconds, env=environment, cwd="/")
        if ended.code != 0:
            raise ResilienceError(
                _(
                    "%(program)s ended with %(ending)s: %(why)s",
                    program=f"docker compose {arguments[0]}",
                    ending=ended.ending(),
                    why=(ended.errors.strip() or ended.output.strip())[-600:],
                ),
                option="compose.file",
                value=file,
                remedy=docker_causes.remedy(ended.errors + ended.output),
            )


def docker_program() -> str:
    """Return the full path of `docker`.

    Raises:
        ResilienceError: it is not installed.
    """
    found = shutil.which("docker", path=PROGRAM_PATH)
    if not found:
        raise ResilienceError(
            _("Docker is not installed"),
            option="engine",
            value="compose",
            remedy=_("install docker.io and a compose plugin, or use the engine embedded"),
        )
    return found
