# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Production's application during a recovery: stop it, start it, find out whether it serves."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
import urllib.request
from collections.abc import Sequence

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..proof.restore_settings import RecoveryServer

POLL_SECONDS = 0.2


def run_command(command: Sequence[str], option: str, seconds: float) -> None:
    """Run the command that stops or starts the application; nothing if it is empty.

    Args:
        command: program and arguments.
        option: the option that names it.
        seconds: its time limit.

    Raises:
        ResilienceError: it cannot be run, failed or met its limit.
    """
    if not command:
        return
    ended = process.run(list(command), time_limit=seconds)
    if ended.code != 0:
        raise ResilienceError(
            _(
                "%(program)s ended with %(ending)s: %(why)s",
                program=command[0],
                ending=ended.ending(),
                why=ended.errors.strip()[-300:],
            ),
            option=option,
            value=" ".join(command),
            remedy=_("run it by hand and correct what it reports"),
        )


def serves(target: RecoveryServer) -> bool | None:
    """Return whether production responds in time; None if no address is configured.

    An address without HTTP does not serve.
    """
    if not target.health_url:
        return None
    context = ssl.create_default_context()
    if not target.verify_tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    deadline = time.monotonic() + target.seconds
    status: int | None = None
    while status != 200 and time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError, http.client.HTTPException, ValueError),
            opener.open(target.health_url, timeout=5) as response,
        ):
            status = response.status
        if status != 200:
            time.sleep(POLL_SECONDS)
    return bool(status == 200)
