# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of the first server's backups, started before the code that reads it is loaded.

Logging in and listing take the longest of a sync that finds nothing new; so this file loads little.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from ..common.errors import ResilienceError
from . import gate_requests
from .offsite_config import OffsiteSettings, by_name, ssh_destination
from .ssh import RESTRICTED
from .ssh_command import SshCommand

# Commands that run on a server, by their arguments.
Started = dict[tuple[str, ...], SshCommand]


@contextlib.contextmanager
def started(
    settings: OffsiteSettings, chosen: Sequence[str], *, digests: bool = False
) -> Iterator[Started]:
    """Yield the listing of the first destination behind a gate; end it afterwards if nobody did.

    What is wrong with the settings is reported where the transport is made.

    Args:
        settings: of the stage.
        chosen: names of the destinations; all when empty.
        digests: as for `gate_requests.listing`.
    """
    commands: Started = {}
    with contextlib.suppress(ResilienceError):
        first = next(
            (one for name, one in by_name(settings).items() if not chosen or name in chosen), None
        )
        if first and first.transport == "rsync" and first.mode == RESTRICTED:
            request = gate_requests.listing(settings.tiers, digests=digests)
            commands[tuple(request)] = SshCommand(
                ssh_destination(settings, first), request, stdin=None if digests else ()
            )
    try:
        yield commands
    finally:
        for command in commands.values():
            command.cancel()
