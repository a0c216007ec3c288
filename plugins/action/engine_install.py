# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the controller's engine to the module of the same name: one task instead of one a file."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

ENGINE = Path(__file__).resolve().parent.parent / "module_utils"
# Sources and what they read; compiled files and the translators' own files stay behind.
SHIPPED = ("*.py", "*/*.py", "*/*.j2", "*/*.css", "*/*.js", "locale/*/LC_MESSAGES/*.mo")


class ActionModule(ActionBase):
    """Read the engine and run the module; send it only the files that the host lacks."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Any:
        super().run(tmp, task_vars)
        contents = {
            str(path.relative_to(ENGINE)): path.read_bytes()
            for pattern in SHIPPED
            for path in sorted(ENGINE.glob(pattern))
        }
        digests = {name: hashlib.sha256(held).hexdigest() for name, held in contents.items()}
        arguments = {**self._task.args, "digests": digests}
        result = self._execute_module(module_args=arguments, task_vars=task_vars)
        missing = result.get("missing", [])
        if missing:
            arguments["files"] = {
                name: base64.b64encode(contents[name]).decode("ascii") for name in missing
            }
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
        return result
