"""The host is lost: one play on a fresh host, with the offline key, brings production back."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import offsite_fetch
from support.play_host import PlayHost
from support.sealed_client import sealed_client
from support.sshd import Sshd, server
from testbed import Testbed, production

__all__ = ["server"]

HOST = socket.gethostname()
KNOWN = ("host", "port", "user", "password", "dbname", "bin_dir")


def test_sealed_copies_of_a_flat_folder_are_found_by_the_owners_pattern(
    server: Sshd, tmp_path: Path
) -> None:
    """A new server's configuration says where to fetch from; names are what its stage 3 knows."""
    pattern = "shop-%Y-%m-%d.sql.gz"
    (tmp_path / "old").mkdir()
    with sealed_client("account", server, tmp_path / "old") as old:
        old.tree.mkdir()
        (old.tree / ".chefwell-backups").touch()
        backup = old.tree / "shop-2026-01-02.sql.gz"
        backup.write_bytes(gzip.compress(os.urandom(9000)))
        os.utime(backup, (1.7e9, 1.7e9))
        old.write(backup_pattern=pattern)
        sent = old.sync()
        assert sent.status in ("ok", "warning") and sent.sent, sent
        new = old.new_host(tmp_path / "new")
        new.write(backup_pattern="", backup_path="/root/backups")
        transport = offsite_fetch.transport(str(new.config_file), pattern=pattern)
        which = {"tiers": (old.tree.name,), "pattern": pattern}
        fetched = offsite_fetch.fetch(transport, str(tmp_path), **which)
        assert Path(fetched.path).read_bytes() == backup.read_bytes()
        # Without it the names are those of the configuration, ChefWell's.
        with pytest.raises(ResilienceError, match="there is no backup"):
            offsite_fetch.fetch(
                offsite_fetch.transport(str(new.config_file)), str(tmp_path), **which
            )


def test_a_fresh_host_recovers_with_the_offline_key_and_the_playbook(
    bed: Testbed, server: Sshd, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with sealed_client("account", server, tmp_path / "old") as old:
        shutil.copytree(bed.record["backups"], old.tree, dirs_exist_ok=True)
        (old.tree / ".chefwell-backups").touch()
        sent = old.sync()
        assert sent.status in ("ok", "warning"), sent
        signer = (old.keys_folder / "signing.pub").read_text().strip()
    offline = tmp_path / "offline.key"
    shutil.copy(old.offline, offline)
    # Nothing else of the host is left.
    for gone in (old.tree, old.keys_folder, Path(old.options["state_dir"]), old.offline):
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    seal = {
        # As the owner's variables were; a recovery makes no keys and demands no test of them.
        "recipients": [old.recipient],
        "at_rest": True,
        "identity_files": [str(offline)],
        "signers": [signer],
        "last_link": sent.last_link,
    }
    (tmp_path / "new").mkdir(mode=0o755)
    with production.alone(tmp_path / "new") as new:
        access = new.settings
        root = tmp_path / "host"
        host = PlayHost(
            root,
            resilience_seal=seal,
            resilience_offsite={
                "host": "127.0.0.1",
                "port": server.port,
                "user": server.user,
                "path": str(server.backups),
                "mode": "account",
                "inventory_host": "localhost",
                "host_key_file": str(server.root / "host_key.pub"),
                "authorized_keys": str(server.authorized_keys),
            },
            staging_restore_offsite_key_file=str(root / "ssh" / "chefwell_read"),
            staging_restore_source="offsite",
            staging_restore_engine="embedded",
            staging_restore_bin_dir=access["bin_dir"],
            staging_restore_backup_path=str(root / "backups"),
            staging_restore_runbook="",
            staging_restore_logrotate_file="",
            staging_restore_recovery={name: access[name] for name in KNOWN},
        )
        began = time.monotonic()
        play = host.run(
            "disaster_recovery.yml",
            staging_restore_recovery_from_offsite=True,
            staging_restore_recovery_confirm=HOST,
        )
        assert play.returncode == 0, play.stdout + play.stderr
        record_property("seconds", round(time.monotonic() - began, 1))
        connected = contextlib.closing(new.connect("restaurante"))
        with connected as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tenant_chefwell.products")
            assert cursor.fetchone() == (28,)
        secret = offline.read_text().strip()
        assert secret not in play.stdout + play.stderr
        # A copy that ends before the last known link is refused.
        newest = max((server.backups / "daily").glob("*.age"))
        for path in server.backups.glob(f"*/{newest.name.removesuffix('.age')}*"):
            path.unlink()
        refused = host.command("disaster-recovery", "--from-offsite", "--json")
        assert refused.returncode != 0 and "withheld" in json.loads(refused.stdout)["problem"]
        page = host.command("disaster-recovery", "--from-offsite")
        assert page.returncode != 0 and "Traceback" not in page.stderr, page.stderr
        assert "❌" in page.stdout
