# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page of this host as a file, with its values as JSON beside it."""

from __future__ import annotations

import json
import os

from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.language import translations
from ..common.mask import mask
from ..common.messages import _
from ..common.system_errors import reason
from ..history.history import History
from ..notifications.notification_settings import StageSettings
from . import status_html, status_values


def json_path(page: str) -> str:
    """Return the path of the values of a page: `status.json` beside `status.html`."""
    return os.path.splitext(page)[0] + ".json"


def write_or_report(
    settings: StageSettings, history: History | None, now: float, problems: list[str]
) -> None:
    """Write the page after a run, if one is configured.

    Args:
        settings: of the stage that ran.
        history: open, or None where it cannot be opened.
        now: seconds since 1970.
        problems: the reason why it could not be written is added here, as text.
    """
    path = settings.status_path
    if not path:
        return
    # In the state folder root alone reads it; elsewhere it is there to be read.
    mode = 0o600 if os.path.dirname(path) == settings.state_dir else 0o644
    status = status_values.host_status(settings, history, now)
    page = status_html.status_page(
        translations(settings.language), [status], settings.language, now, settings.owner
    )
    try:
        # The next run makes it anew, so a power failure may take it.
        replace_file(json_path(path), mask(json.dumps(status)), mode=mode, durable=False)
        replace_file(path, mask(page), mode=mode, durable=False)
    except OSError as error:
        refused = ResilienceError(
            _("the status page cannot be written: %(why)s", why=reason(error)),
            option="status_page",
            value=path,
            remedy=_("name a file in a folder that exists and takes writes, or leave it empty"),
        )
        problems.append(refused.message())
