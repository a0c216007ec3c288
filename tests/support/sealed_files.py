# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities, recipients and sealed files for tests of sealing; by the real age."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    age,
    keys,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)


def made_identity(folder: Path, name: str = "id") -> tuple[Path, str]:
    """A new identity's file, and its recipient."""
    secret, public = age.new_identity()
    path = folder / name
    path.write_text(f"{secret}\n")
    path.chmod(0o600)
    return path, public


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with an identity, and the file of its recipient."""
    folder = tmp_path_factory.mktemp("keys")
    identity, public = made_identity(folder)
    recipients = folder / "recipients"
    recipients.write_text(f"{public}\n")
    return identity, recipients


def sealed(folder: Path, body: bytes, recipients: Path) -> tuple[Path, age.AgeResult]:
    plain = folder / "plain"
    plain.write_bytes(body)
    target = folder / "plain.age"
    return target, age.seal(str(plain), str(target), str(recipients), time_limit=60)


def untested_keys(root: Path) -> tuple[Path, SealSettings]:
    """A folder with the keys of a host for one recipient, who has opened nothing yet."""
    folder = root / "sealing"
    settings = SealSettings(recipients=(made_identity(root, "offline")[1],), untested=True)
    keys.set_up(str(folder), settings)
    return folder, settings
