# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is replaced whole, with its mode, or stays as it was."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.files import (
    replace_file,
    replace_json,
)


def test_content_and_mode_are_those_that_were_given(tmp_path: Path) -> None:
    path = tmp_path / "state"
    before = os.umask(0o077)
    try:
        replace_file(str(path), "á\udcff\n", mode=0o644)
    finally:
        os.umask(before)
    assert path.read_bytes() == "á\\udcff\n".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    replace_json(str(path), {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["state"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    replace_file(str(path), "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["state"]


def test_writers_at_the_same_time_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "state"
    contents = [str(number) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=replace_file, args=(str(path), one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in contents
    assert os.listdir(tmp_path) == ["state"]
