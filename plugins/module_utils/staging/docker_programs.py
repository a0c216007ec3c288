# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's client programs out of an image, for a host that has none, or others.

Each runs in a container of its own that sees the files it is to read, read-only, and no network but
the staging server's: a plain dump can make psql run programs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ..common.errors import ResilienceError
from ..common.messages import _
from ..database.postgres import Binaries
from .docker_cli import LONG_SECONDS, Docker

# The server's own port, inside its network.
PORT = 5432


@dataclasses.dataclass(frozen=True)
class ImageBinaries(Binaries):
    """The programs of an image; `bin_dir` says which.

    Attributes:
        docker: the engine that has it.
        image: its name.
        label: name=value, for the containers.
        server: the label, name=value, of the staging server's container.
    """

    docker: Docker = dataclasses.field(default_factory=Docker)
    image: str = ""
    label: str = ""
    server: str = ""

    @property
    def contained(self) -> bool:
        """They run in a container."""
        return True

    def command(
        self, program: str, arguments: Sequence[str], reads: Sequence[str] = ()
    ) -> list[str]:
        """Runs it in a container; a server that it connects to is the staging server."""
        kept = [one for one in arguments if not one.startswith(("--host=", "--port="))]
        network = "none"
        if len(kept) < len(arguments):
            network = f"container:{self._server_id()}"
            kept = ["--host=127.0.0.1", f"--port={PORT}", *kept]
        # Quoted as CSV, which is how Docker reads the option: a comma may stand in a path.
        mounts = [f'--mount=type=bind,"src={one}","dst={one}",readonly' for one in reads]
        caps = ["--cap-drop=ALL", "--cap-add=DAC_READ_SEARCH"]
        host = ["--host", self.docker.host] if self.docker.host else []
        return [
            *(self.docker.program, *host, "run", "--rm", f"--network={network}", *mounts),
            *(*caps, "--security-opt=no-new-privileges", "--user=0", "--read-only"),
            # Without a value they come from the caller's environment: a password in no list.
            *("--env=PGPASSWORD", "--env=LC_ALL", f"--label={self.label}"),
            *(f"--entrypoint={program}", self.image, *kept),
        ]

    def _server_id(self) -> str:
        found = self.docker.listed("container", [self.label, self.server], "{{.ID}}")
        if not found:
            raise ResilienceError(
                _("the staging server's container is gone"),
                option="engine",
                value="compose",
                remedy=_("run setup-staging again"),
            )
        return found[0][0]


def from_image(docker: Docker, image: str, label: str, server: str) -> ImageBinaries:
    """The programs of an image, which is fetched if it is not there.

    Raises:
        ResilienceError: it cannot be had, or is none of PostgreSQL.
    """
    said = docker.run(
        *("run", "--rm", "--network=none", f"--label={label}", "--entrypoint=pg_restore"),
        *(image, "--version"),
        seconds=LONG_SECONDS,
    )
    found = re.search(r"\(PostgreSQL\) ((\d+)\S*)", said)
    if not found:
        raise ResilienceError(
            _("the image's pg_restore does not say its version: %(why)s", why=said[:200]),
            option="postgres_image",
            value=image,
            remedy=_("name an image of PostgreSQL, such as postgres:16-alpine"),
        )
    return ImageBinaries(f"image {image}", int(found[2]), found[1], docker, image, label, server)
