"""Files that look like backups and are not recognised: sync and verification name them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
)
from support.offsite_client import gated_sync
from support.sshd import Sshd, server

__all__ = ["server"]


def test_what_is_not_recognised_is_named(server: Sshd, tmp_path: Path) -> None:
    """A tree in which no name fits the pattern is never in sync with an empty copy."""
    settings = gated_sync(server, tmp_path, {})
    tree = Path(settings.backup_path)
    (tree / "daily" / "notes.txt").write_bytes(b"x")
    (tree / "daily" / "shop_20251120_030000.dump.gpg").write_bytes(b"x")
    (tree / "daily" / "shop_20251120_030000").mkdir()
    done = sync.sync(settings)
    assert done.status == "warning"
    (warning,) = done.warnings
    assert "2 files are not recognised as backups: daily/shop_20251120_030000 (folder)" in warning
    verification = offsite_verification.verify(settings)
    assert offsite_verification.verify_exit_code(verification) == 1
    assert len(verification["unrecognised"]) == 2

    for path in tree.glob("*/*.gz"):
        path.rename(path.with_name(path.name.replace("_", "-")))
    empty = dataclasses.replace(settings, state_dir=settings.state_dir + "2")
    refused = sync.sync(empty)
    assert refused.status == "refused"
    assert any("files are not recognised as backups" in one for one in refused.warnings)
    nothing = offsite_verification.verify(empty)
    assert not nothing["comparison"]["in_sync"]
    assert "not recognised" in str(nothing["comparison"]["unknown"])
