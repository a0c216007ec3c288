"""Backups that lie sealed on the host go offsite like plain ones, for the recipients of today."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    age,
    keys,
    opened_backup,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)
from support.backup_trees import add_backup, plan_tree
from support.sealed_client import SealedClient, let_read, sealed_client
from support.sshd import Sshd, server

__all__ = ["server"]


@pytest.fixture
def client(request: pytest.FixtureRequest, server: Sshd, tmp_path: Path) -> Iterator[SealedClient]:
    """A client with the plan's tree, of which the three newest days lie sealed."""
    with sealed_client(getattr(request, "param", "gate"), server, tmp_path) as made:
        plan_tree(made.tree)
        for path in sorted((made.tree / "daily").glob("*.gz"))[-3:]:
            seal(made, path)
        yield made


def seal(client: SealedClient, path: Path) -> Path:
    """Seal a backup in the tree with its manifest, as `backup-manifest` writes them."""
    owner = SealSettings(recipients=tuple(client.options["seal"]["recipients"]), untested=True)
    found = keys.load(str(client.keys_folder), owner)
    manifest = path.with_name(f"{path.name}.manifest.json")
    values = {"taken_at": "2026-01-02T03:04:05+00:00", "sealed_for": found.fingerprint}
    manifest.write_text(json.dumps(values))
    for one in (path, manifest):
        age.seal(str(one), f"{one}.age", found.recipients_file, time_limit=60)
        one.unlink()
    return path.with_name(f"{path.name}.age")


def opened(path: Path, key: Path) -> bytes:
    return subprocess.run(["age", "-d", "-i", key, path], capture_output=True, check=True).stdout


def test_they_are_sent_once_and_compared(
    client: SealedClient, server: Sshd, tmp_path: Path
) -> None:
    first = client.sync()
    assert (first.status, first.files_sent) == ("ok", 14), first
    held = client.copied()
    assert len([name for name in held if name.endswith(".gz.age")]) == 14
    assert not client.spool.exists()
    for path in (client.tree / "daily").glob("*.age"):
        # They were sealed already: these bytes are sent, and nothing else.
        assert held[str(path.relative_to(client.tree))] == path.read_bytes()
        assert path.stat().st_nlink == 1
    assert client.in_sync()
    second = client.sync()
    assert (second.status, second.files_sent, second.files_aside) == ("ok", 0, 0), second
    assert client.copied() == held
    # A night: a sealed one comes, the oldest sealed one is rotated away.
    oldest = min((client.tree / "daily").glob("*.gz.age"))
    content = (new := add_backup(client.tree, "daily", -0.01)).read_bytes()
    sealed = seal(client, new)
    for gone in (client.tree / "daily").glob(f"{oldest.name[: -len('.age')]}*"):
        gone.unlink()
    night = client.sync()
    assert night.sent == (f"daily/{new.name}",), night
    assert night.aside == (f"daily/{oldest.name[: -len('.age')]}",), night
    assert client.in_sync() and f"daily/{sealed.name}" in client.copied()
    # Rot here is found, and does not pass for the copy's.
    body, status = sealed.read_bytes(), sealed.stat()
    sealed.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    os.utime(sealed, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert client.verify(full=True)["comparison"]["different"] == [f"daily/{new.name}"]
    sealed.write_bytes(body)
    os.utime(sealed, ns=(status.st_mtime_ns, status.st_mtime_ns))
    # A fresh host opens it with the offline key.
    let_read(server)
    fetched = client.new_host(tmp_path / "fresh").fetch(tmp_path / "there")
    assert fetched.name == new.name and fetched.read_bytes() == content


def test_a_damaged_one_is_named_and_the_others_go(client: SealedClient) -> None:
    first, second, _third = sorted((client.tree / "daily").glob("*.gz.age"))
    manifest = second.with_name(f"{second.name[: -len('.age')]}.manifest.json.age")
    bodies = {path: path.read_bytes() for path in (first, manifest)}
    first.write_bytes(bodies[first][:-1])
    manifest.write_bytes(bodies[manifest][:-1] + b"\0")
    for files in (12, 0):
        result = client.sync()
        assert (result.status, result.files_sent) == ("warning", files), result
        warned = " ".join(map(str, result.warnings))
        for path in (first, second):
            assert path.name[: -len(".age")] in warned, warned
            assert path.name not in {os.path.basename(name) for name in client.copied()}
    for path, body in bodies.items():
        path.write_bytes(body)
    names = sorted(f"daily/{path.name[: -len('.age')]}" for path in (first, second))
    assert sorted(client.sync().sent) == names
    assert client.in_sync()


@pytest.mark.parametrize("client", ["account"], indirect=True)
def test_one_for_other_keys_goes_as_it_is(client: SealedClient, tmp_path: Path) -> None:
    """The owner sealed it for a key that this host has not; who has both keys restores it."""
    newest = max((client.tree / "daily").glob("*.gz.age"))
    other = tmp_path / "other.key"
    secret, public = age.new_identity()
    other.write_text(f"{secret}\n")
    other.chmod(0o600)
    recipients = tmp_path / "foreign"
    recipients.write_text(f"{public}\n")
    content = os.urandom(3000)
    age.seal_bytes(content, str(newest), str(recipients))
    result = client.sync()
    assert (result.status, result.files_sent) == ("ok", 14), result
    assert client.in_sync() and client.sync().files_sent == 0
    fetched = client.fetch(tmp_path / "here")
    assert opened_backup.is_sealed(str(fetched))
    plain = opened_backup.open_backup(str(fetched), str(tmp_path), [str(other)], time_limit=60)
    assert Path(plain).read_bytes() == content


@pytest.mark.parametrize("client", ["account"], indirect=True)
def test_the_copy_is_for_the_recipients_of_today(client: SealedClient) -> None:
    """A backup that lies sealed for a stolen key is not sent for it."""
    stolen = client.root / "stolen.key"
    client.offline.rename(stolen)
    secret, public = age.new_identity()
    client.offline.write_text(f"{secret}\n")
    client.offline.chmod(0o600)
    client.write(seal={"recipients": [public], "untested": True})
    client.set_up_keys()
    oldest, *_others, newest = sorted((client.tree / "daily").glob("*.gz.age"))
    # Of one without a manifest nobody knows for whom it is.
    oldest.with_name(f"{oldest.name[: -len('.age')]}.manifest.json.age").unlink()
    assert client.sync().status == "ok"
    for path in (oldest, newest):
        copy = client.copy / "daily" / path.name
        assert opened(copy, client.offline) == opened(path, stolen)
        with pytest.raises(subprocess.CalledProcessError):
            opened(copy, stolen)
    assert client.in_sync() and client.sync().files_sent == 0


@pytest.mark.parametrize("client", ["account"], indirect=True)
def test_without_sealed_copies_they_go_as_they_are(client: SealedClient) -> None:
    """The owner takes sealing back: what lies sealed stays readable for the keys alone."""
    assert client.sync().status == "ok"
    client.write(seal={})
    back = client.sync(overrides=["destination", "mass-change"])
    local = {str(path.relative_to(client.tree)) for path in client.tree.glob("*/*.gz*")}
    held = client.copied()
    assert local <= set(held), back
    for name in local:
        assert held[name] == (client.tree / name).read_bytes()
    again = client.sync()
    assert again.files_sent == 0, again
    assert [name for name in local if name.endswith(".age")]
