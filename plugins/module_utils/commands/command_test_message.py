# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`--test-message`, which every command has that sends notifications."""

from __future__ import annotations

import json
from typing import Any

from ..common.language import translations
from ..notifications import channel_test
from .command import EXIT_CRITICAL, EXIT_OK, EXIT_UNKNOWN, print_result


def print_test_messages(values: Any, as_json: bool) -> int:
    """Send a test message to every address, and print the result of each."""
    values.check_notifications()
    results = channel_test.send_test_messages(values, translations(values.language))
    if as_json:
        rows = [{"service": name, "problem": problem or None} for name, problem in results]
        print_result(json.dumps({"services": rows}))
    else:
        tr = translations(values.language).gettext
        delivered, failed = (
            tr("✅ %(service)s delivered"),
            tr("❌ %(service)s not delivered: %(why)s"),
        )
        lines = [
            (failed if problem else delivered) % {"service": name, "why": problem}
            for name, problem in results
        ]
        print_result("\n".join(lines or [tr("No address is configured in notify.")]))
    if not results:
        return EXIT_UNKNOWN
    return EXIT_CRITICAL if any(problem for _name, problem in results) else EXIT_OK
