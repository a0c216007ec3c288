# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write one page about all hosts on the controller, from what each host has registered."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.common.errors import ResilienceError
from ..module_utils.common.files import replace_file
from ..module_utils.common.language import translations
from ..module_utils.pages import status_html, status_text, status_values

ARGUMENTS = {
    "dest": {"type": "path", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "register": {"type": "str", "required": True},
    "language": {"type": "str", "default": ""},
    "owner": {"type": "str", "default": ""},
}


def host_status(host: str, held: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the status of a host.

    Args:
        host: its name in the inventory.
        held: what `slurp` returned of its `status.json`; None where it did not run there.
    """
    if held is None:
        return status_values.unreachable(host, "the play failed before the status was read")
    if held.get("unreachable"):
        return status_values.unreachable(host, str(held.get("msg") or "the host is unreachable"))
    if "content" not in held:
        message = str(held.get("msg") or "")
        if "not found" in message or "No such file" in message:
            return {"version": status_values.VERSION, "host": host, "problem": "", "parts": []}
        return status_values.unreachable(host, message or "the status cannot be read")
    try:
        status = json.loads(base64.b64decode(held["content"]))
        if not isinstance(status, dict) or status.get("version") != status_values.VERSION:
            raise ValueError("another version of the collection wrote it")
    except ValueError as error:
        return status_values.unreachable(host, f"the status cannot be read: {error}")
    return {**status, "host": host}


class ActionModule(ActionBase):
    """Make the page of what the hosts have registered; no module runs."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Any:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        hostvars = (task_vars or {})["hostvars"]
        hosts = [
            host_status(name, hostvars[name].get(arguments["register"]))
            for name in arguments["hosts"]
        ]
        if not hosts:
            raise AnsibleActionFail("no host is given, so there is nothing to show [hosts=[]]")
        first: dict[str, Any] = next((host for host in hosts if host.get("language")), {})
        language = arguments["language"] or first.get("language") or "en"
        owner = arguments["owner"] or first.get("owner") or ""
        now = time.time()
        try:
            page = status_html.status_page(translations(language), hosts, language, now, owner)
            if not self._task.check_mode:
                replace_file(str(Path(arguments["dest"]).absolute()), page, mode=0o644)
        except OSError as error:
            raise AnsibleActionFail(
                f"the page cannot be written: {error.strerror or error} [dest={arguments['dest']}]"
                " - name a file in a folder that exists and takes writes"
            ) from None
        except ResilienceError as error:
            raise AnsibleActionFail(str(error)) from None
        states = {host["host"]: status_text.host_state(host, now) for host in hosts}
        return {**result, "changed": True, "dest": arguments["dest"], "states": states}
