"""rclone's transport against servers of its own kind: SFTP and WebDAV by `rclone serve`."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite,
    offsite_verify,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    Settings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rclone import (
    RcloneDestination,
    RcloneTransport,
)
from offsite_parts import add_backup, contents, plan_tree
from sshd import free_port


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[str]:
    """A server of rclone's; yields the configuration of a remote `there` that reaches it."""
    port = free_port()
    secret = subprocess.run(
        ["rclone", "obscure", "secret"], capture_output=True, text=True, check=True
    ).stdout.strip()
    arguments = ["rclone", "serve", kind, str(folder), f"--addr=127.0.0.1:{port}"]
    running = subprocess.Popen(
        [*arguments, "--user=u", "--pass=secret", "--config=/dev/null", "--dir-cache-time=0s"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder.parent), "XDG_CACHE_HOME": str(folder.parent)},
    )
    try:
        for _attempt in range(250):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        if kind == "sftp":
            yield f"type = sftp\nhost = 127.0.0.1\nport = {port}\nuser = u\npass = {secret}\n"
        else:
            yield (
                f"type = webdav\nurl = http://127.0.0.1:{port}\nvendor = other\n"
                f"user = u\npass = {secret}\n"
            )
    finally:
        running.kill()
        running.wait()


def settings(root: Path, remote: str, config: str) -> Settings:
    file = root / "rclone.conf"
    file.write_text(f"[there]\n{config}")
    file.chmod(0o600)
    destination = RcloneDestination(remote, str(file), time_limit=30, connect_seconds=5)
    return Settings(
        RcloneTransport(destination),
        str(root / "backups"),
        str(root / "state"),
        tries=1,
    )


@pytest.mark.parametrize("kind", ["sftp", "webdav"])
def test_whole_round(tmp_path: Path, kind: str) -> None:
    tree = plan_tree(tmp_path / "backups")
    copy = tmp_path / "copy"
    copy.mkdir()
    with serving(kind, copy) as config:
        chosen = settings(tmp_path, "there:backups", config)
        assert offsite.sync(chosen, dry_run=True).files_sent == 14
        assert contents(copy) == {}
        first = offsite.sync(chosen)
        assert (first.status, first.files_sent) == ("ok", 14), first
        held = copy / "backups"
        for file in tree.glob("*/*.gz"):
            assert (held / file.parent.name / file.name).read_bytes() == file.read_bytes()
        assert offsite.sync(chosen).files_sent == 0
        oldest = sorted((tree / "daily").iterdir())[0]
        kept = oldest.read_bytes()
        oldest.unlink()
        new = add_backup(tree, "daily", -0.01)
        changed = sorted((tree / "weekly").iterdir())[0]
        before = changed.read_bytes()
        changed.write_bytes(os.urandom(4001))
        again = offsite.sync(chosen)
        assert again.status == "ok", again
        assert set(again.sent) == {f"daily/{new.name}", f"weekly/{changed.name}"}
        assert again.aside == (f"daily/{oldest.name}",)
        assert {path.read_bytes() for path in held.glob("old_*/*/*")} == {kept, before}
        verification = offsite_verify.verify(chosen)
        assert verification["comparison"]["in_sync"], verification["comparison"]
        assert verification["comparison"]["compared_by"] == "sha256"
        victim = sorted((held / "monthly").iterdir())[0]
        seen = victim.stat()
        victim.write_bytes(os.urandom(seen.st_size))
        os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        rotten = offsite_verify.verify(chosen, full=True)
        assert rotten["comparison"]["different"] == [f"monthly/{victim.name}"]
        assert rotten["rotted"]["remote"] == [f"monthly/{victim.name}"]
        assert any("keeps no times" in one for one in rotten["weaker"]) == (kind == "webdav")
    down = offsite.sync(chosen)
    assert (down.status, down.exit_code) == ("failed", 2), down


@pytest.mark.parametrize("remote", ["", "no-colon", ":local:/etc", "--config=x:y"])
def test_a_remote_that_is_none(remote: str) -> None:
    with pytest.raises(ResilienceError, match="no remote"):
        RcloneDestination(remote, "/dev/null")
