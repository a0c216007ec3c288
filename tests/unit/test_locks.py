# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock has one holder, and is free as soon as that one has ended, however it ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.common.locks import (
    lock_file,
    lock_folder,
    single_run,
)

HOLDER = (
    "import fcntl, os, sys, time\n"
    "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
    "print('held', flush=True)\n"
    "time.sleep(60)\n"
)


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with lock_file(path) as first:
        assert first is not None
        with lock_file(path, wait=0.1) as second:
            assert second is None
    with lock_file(path) as third:
        assert third is not None
    with lock_folder(str(tmp_path)) as first, lock_folder(str(tmp_path)) as second:
        assert first is not None
        assert second is None


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        with lock_file(str(path), wait=0.2) as mine:
            assert mine is None
        assert 0.2 <= time.monotonic() - started < 5
        holder.send_signal(signal.SIGKILL)
        with lock_file(str(path), wait=10) as mine:
            assert mine is not None


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder = str(tmp_path / "state")
    with single_run(folder, "disk") as first, single_run(folder, "disk", wait=0.1) as second:
        assert first
        assert not second
        with single_run(folder, "other", wait=0.1) as other:
            assert other
