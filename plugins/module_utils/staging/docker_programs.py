# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's client programs out of an image, for a host that has none, or others.

Each runs in a container of its own that sees the files it is to read, read-only, and no network but
the staging server's. They are run by the command `docker`, which passes standard input, output and
signals on to them as to any other program.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ..common.errors import ResilienceError
from ..common.messages import _
from ..database.postgres import Binaries
from .compose_command import docker_program
from .docker_engine import DockerEngine

# The server's own port, inside its network.
PORT = 5432


@dataclasses.dataclass(frozen=True)
class ImageBinaries(Binaries):
    """The programs of an image; `bin_dir` names it.

    Attributes:
        docker: the engine that has it.
        image: its name.
        label: name=value, for the containers.
        server: the label, name=value, of the staging server's container.
        volumes: where the image declares volumes: each gets a tmpfs, so that no run leaves an
            anonymous volume behind, even where the engine ends before it.
    """

    docker: DockerEngine = dataclasses.field(default_factory=DockerEngine)
    image: str = ""
    label: str = ""
    server: str = ""
    volumes: tuple[str, ...] = ()

    @property
    def contained(self) -> bool:
        """Return True: they run in a container."""
        return True

    def command(
        self, program: str, arguments: Sequence[str], reads: Sequence[str] = ()
    ) -> list[str]:
        """Return the command that runs a program in a container of its own.

        A server that the program connects to is the staging server.
        """
        kept = [one for one in arguments if not one.startswith(("--host=", "--port="))]
        network = "none"
        if len(kept) < len(arguments):
            network = f"container:{self._server_id()}"
            kept = ["--host=127.0.0.1", f"--port={PORT}", *kept]
        # Quoted as CSV, which is how Docker reads the option: a comma may stand in a path.
        mounts = [f'--mount=type=bind,"src={one}","dst={one}",readonly' for one in reads]
        host = ["--host", self.docker.url] if self.docker.url else []
        return [
            *(docker_program(), *host, "run", "--rm", f"--network={network}", *mounts),
            *(f"--label={self.label}", *(f"--tmpfs={path}" for path in self.volumes)),
            *("--cap-drop=ALL", "--cap-add=DAC_READ_SEARCH", "--security-opt=no-new-privileges"),
            *("--user=0", "--read-only"),
            # Without a value they come from the caller's environment: a password in no list.
            *("--env=PGPASSWORD", "--env=PGOPTIONS", "--env=LC_ALL"),
            *(f"--entrypoint={program}", self.image, *kept),
        ]

    def _server_id(self) -> str:
        found = self.docker.containers([self.label, self.server])
        if not found:
            raise ResilienceError(
                _("the staging server's container is gone"),
                option="engine",
                value="compose",
                remedy=_("run setup-staging again"),
            )
        return str(found[0].id)


def from_image(docker: DockerEngine, image: str, label: str, server: str) -> ImageBinaries:
    """Return the programs of an image, which is pulled if it is not there.

    Args:
        docker: the engine.
        image: its name.
        label, server: as of `ImageBinaries`.

    Raises:
        ResilienceError: it cannot be had, or is none of PostgreSQL.
    """
    with docker.errors(f"run {image}"):
        client = docker.client
        found = client.images.list(name=image)
        attributes = (found[0] if found else client.images.pull(image)).attrs
        volumes = tuple(sorted(attributes["Config"].get("Volumes") or {}))
        name, _equals, value = label.partition("=")
        written = client.containers.run(
            image,
            ["--version"],
            entrypoint=["pg_restore"],
            network_mode="none",
            labels={name: value},
            tmpfs=dict.fromkeys(volumes, ""),
            remove=True,
        ).decode("utf-8", "backslashreplace")
    version = re.search(r"\(PostgreSQL\) ((\d+)\S*)", written)
    if not version:
        raise ResilienceError(
            _("the image's pg_restore does not say its version: %(why)s", why=written[:200]),
            option="postgres_image",
            value=image,
            remedy=_("name an image of PostgreSQL, such as postgres:16-alpine"),
        )
    return ImageBinaries(
        f"image {image}", int(version[2]), version[1], docker, image, label, server, volumes
    )
