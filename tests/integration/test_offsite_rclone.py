"""rclone's transport against servers: SFTP and WebDAV by `rclone serve`, and for S3 a stand-in.

The stand-in is moto's server (PyPI): it has S3's interface and keeps objects in memory. It
shows that what goes to S3 is S3, not what a provider's own rules are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite import (
    offsite_verification,
    sync,
    transport_rclone,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.offsite_settings import (
    SyncSettings,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport import Delivery
from ansible_collections.chefwell.resilience.plugins.module_utils.offsite.transport_rclone import (
    INCOMING,
    RcloneDestination,
    RcloneTransport,
)
from support.backup_trees import add_backup, contents, plan_tree
from support.rclone_server import configuration, serving

# The path of the copy on each kind of server, and the local folder behind it.
KINDS = ("sftp", "webdav", "s3")
BARE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


class Far:
    """The copy, seen by rclone itself: an S3 server has no folder to look into."""

    def __init__(self, root: Path, config: str) -> None:
        self.root = root
        self.file = configuration(root, config)

    def rclone(self, *words: str) -> None:
        subprocess.run(
            ["rclone", f"--config={self.file}", *words], check=True, capture_output=True, env=BARE
        )

    def held(self) -> dict[str, bytes]:
        """Every file of it."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.root / "fetched")
        self.rclone("copy", "there:backups", str(self.root / "fetched"))
        return contents(self.root / "fetched")

    def rot(self, kind: str, folder: Path, path: str) -> None:
        """Other content with the same size and time."""
        victim = folder / "backups" / path
        if kind == "s3":
            self.rclone("copyto", f"there:backups/{path}", str(self.root / "victim"))
            victim = self.root / "victim"
        seen = victim.stat()
        victim.write_bytes(os.urandom(seen.st_size))
        os.utime(victim, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        if kind == "s3":
            self.rclone("deletefile", f"there:backups/{path}")
            self.rclone("copyto", str(victim), f"there:backups/{path}")


def settings(far: Far) -> SyncSettings:
    destination = RcloneDestination(
        "there:backups", str(far.file), time_limit=60, connect_seconds=5
    )
    return SyncSettings(
        RcloneTransport(destination),
        str(far.root / "backups"),
        str(far.root / "state"),
        tries=1,
    )


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for each time that rclone is started."""
    log = tmp_path / "calls"
    real = shutil.which("rclone")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "rclone"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return log


def taken(calls: Path) -> list[str]:
    made = calls.read_text().splitlines()
    calls.unlink()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_whole_round_by_rclone(tmp_path: Path, calls: Path, kind: str) -> None:
    tree = plan_tree(tmp_path / "backups")
    copy = tmp_path / "copy"
    copy.mkdir()
    with serving(kind, copy) as config:
        far = Far(tmp_path, config)
        chosen = settings(far)
        assert sync.sync(chosen, dry_run=True).files_sent == 14
        assert contents(copy) == {}
        calls.unlink()
        first = sync.sync(chosen)
        assert (first.status, first.files_sent) == ("ok", 14), first
        made = taken(calls)
        print(f"{kind}: 14 files in 3 tiers with {len(made)} calls: {made}")
        assert made.count("copy") == 1 and made.count("move") == 3 and len(made) <= 9
        local = {str(file.relative_to(tree)): file.read_bytes() for file in tree.glob("*/*.gz")}
        assert far.held() == local
        assert sync.sync(chosen).files_sent == 0

        oldest = sorted((tree / "daily").iterdir())[0]
        oldest.unlink()
        new = add_backup(tree, "daily", -0.01)
        changed = sorted((tree / "weekly").iterdir())[0]
        changed.write_bytes(os.urandom(4001))
        again = sync.sync(chosen)
        assert again.status == "warning", again
        assert set(again.sent) == {f"daily/{new.name}", f"weekly/{changed.name}"}
        assert again.aside == (f"daily/{oldest.name}",)
        held = far.held()
        aside = {body for path, body in held.items() if path.startswith("old_")}
        assert aside == {local[f"daily/{oldest.name}"], local[f"weekly/{changed.name}"]}
        assert not [path for path in held if path.startswith(INCOMING)]

        verification = offsite_verification.verify(chosen)
        assert verification["comparison"]["in_sync"], verification["comparison"]
        assert verification["comparison"]["compared_by"] == "sha256"
        victim = f"monthly/{sorted((tree / 'monthly').iterdir())[0].name}"
        far.rot(kind, copy, victim)
        rotten = offsite_verification.verify(chosen, full=True)
        assert rotten["comparison"]["different"] == [victim]
        assert rotten["rotted"]["remote"] == [victim]
        assert any("keeps no times" in one for one in rotten["weaker"]) == (kind == "webdav")
        assert any("can delete" in one for one in rotten["weaker"])
    down = sync.sync(chosen)
    assert (down.status, down.exit_code) == ("failed", 2), down


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_the_name_already_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    """Another client's file gets the name just before this one is moved there."""
    copy = tmp_path / "copy"
    copy.mkdir()
    source = tmp_path / "source" / "daily"
    source.mkdir(parents=True)
    (source / "a.dump").write_bytes(b"own")
    with serving(kind, copy) as config:
        far = Far(tmp_path, config)
        transport = settings(far).transport
        far.rclone("copy", str(tmp_path / "source"), f"there:backups/{INCOMING}")
        (source / "a.dump").write_bytes(b"another's")
        far.rclone("copy", str(tmp_path / "source"), "there:backups")
        failed = transport._moved(["daily/a.dump"], INCOMING, "")
        assert failed is not None and not failed.ok
        print(f"{kind}: {failed.problem}")
        assert far.held()["daily/a.dump"] == b"another's"


def test_many_files_go_by_parts(
    tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rclone keeps each name of a call in memory, so a call gets no more than some of them."""
    tree = plan_tree(tmp_path / "backups")
    (tmp_path / "copy").mkdir()
    far = Far(tmp_path, f"type = alias\nremote = {tmp_path}/copy\n")
    chosen = settings(far)
    monkeypatch.setattr(transport_rclone, "MOST_NAMES", 5)
    assert sync.sync(chosen).files_sent == 14
    assert taken(calls).count("copy") == 3
    verification = offsite_verification.verify(chosen)
    assert verification["comparison"]["in_sync"], verification["comparison"]
    assert taken(calls).count("hashsum") == 3
    # The one that differs is in the last part.
    changed = sorted((tree / "weekly").iterdir())[-1]
    changed.write_bytes(os.urandom(5000))
    assert offsite_verification.verify(chosen)["comparison"]["different"] == [
        f"weekly/{changed.name}"
    ]


def test_a_file_that_did_not_arrive_is_no_success(tmp_path: Path) -> None:
    """rclone skips a listed name that is not there; the transport must not."""
    tree = plan_tree(tmp_path / "backups")
    far = Far(tmp_path, "type = alias\nremote = " + str(tmp_path / "copy") + "\n")
    transport = settings(far).transport
    names = [f"daily/{file.name}" for file in sorted((tree / "daily").iterdir())]
    inner = transport._failure_of

    def rotates(*words: str) -> object:
        (tree / names[0]).unlink(missing_ok=True)
        return inner(*words)

    transport._failure_of = rotates  # the moment between the list and the copy, which cannot be met
    done = transport.send(names, Delivery(str(tree), "old_x"))
    assert (done.ok, done.kind) == (False, "not_placed") and names[0] in done.problem
    assert set(far.held()) == set(names[1:])


@pytest.mark.parametrize("remote", ["", "no-colon", ":local:/etc", "--config=x:y"])
def test_an_invalid_remote_is_an_error(remote: str) -> None:
    with pytest.raises(ResilienceError, match="not the name of an rclone remote"):
        RcloneDestination(remote, "/dev/null")
