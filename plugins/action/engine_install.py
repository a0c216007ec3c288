# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands the controller's engine to the module of the same name: one task instead of one a file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

ENGINE = Path(__file__).resolve().parent.parent / "module_utils"
# Sources and what they read; compiled files and the translators' own files stay behind.
SHIPPED = ("*.py", "*/*.py", "*/*.j2", "locale/*/LC_MESSAGES/*.mo")


class ActionModule(ActionBase):
    """Reads the engine and runs the module."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Any:
        super().run(tmp, task_vars)
        files = {
            str(path.relative_to(ENGINE)): base64.b64encode(path.read_bytes()).decode("ascii")
            for pattern in SHIPPED
            for path in sorted(ENGINE.glob(pattern))
        }
        arguments = {**self._task.args, "files": files}
        return self._execute_module(module_args=arguments, task_vars=task_vars)
