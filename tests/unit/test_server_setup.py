"""The set-up of a client on the backup server, as root on a real folder."""

from __future__ import annotations

import dataclasses
import getpass
import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    server_clients,
    server_setup,
    server_store,
)

KEY = "ssh-ed25519 AAAAkeyOfTheClient client"
READ_KEY = "ssh-ed25519 AAAAkeyThatReads reader"


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> server_setup.ClientSetup:
    """A client of a server without cron."""
    monkeypatch.setattr("shutil.which", lambda _program: None)
    return server_setup.ClientSetup(
        kit_dir=str(tmp_path / "kit"),
        python=sys.executable,
        client="shop",
        account=getpass.getuser(),
        authorized_keys=str(tmp_path / "ssh" / "authorized_keys"),
        public_key=KEY,
        read_key=READ_KEY,
        config={"root": str(tmp_path / "copies" / "shop"), "language": "en"},
    )


def test_everything_once(setup: server_setup.ClientSetup, tmp_path: Path) -> None:
    foretold = server_setup.set_up(setup, check=True)
    assert list(tmp_path.iterdir()) == []
    assert server_setup.set_up(setup) == foretold
    assert server_setup.set_up(setup) == server_setup.set_up(setup, check=True) == []
    kit, copy = tmp_path / "kit", tmp_path / "copies" / "shop"
    config = json.loads((kit / "clients" / "shop.json").read_text())
    identity = (copy / ".chefwell" / "identity").read_text().strip()
    assert config == {**setup.config, "identity": identity} and len(identity) == 32
    modes = {kit: 0o755, kit / "gate.sh": 0o755, kit / "clients" / "shop.json": 0o640, copy: 0o700}
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in modes} == modes
    keys = Path(setup.authorized_keys)
    gate = f'restrict,command="{kit}/gate.sh shop'
    assert keys.read_text().splitlines() == [f'{gate} write" {KEY}', f'{gate} read" {READ_KEY}']


def test_a_blank_that_others_leave_at_the_end_of_a_line_is_no_change(
    setup: server_setup.ClientSetup,
) -> None:
    """Ansible's authorized_key, which lets the reading key in, writes every line anew so."""
    server_setup.set_up(setup)
    keys = Path(setup.authorized_keys)
    keys.write_text("".join(f"{line} \n" for line in keys.read_text().splitlines()))
    assert server_setup.set_up(setup) == []
    # What differs by more than blanks is written: here the key that reads would write.
    keys.write_text(keys.read_text().replace(' read"', ' write"'))
    assert server_setup.set_up(setup) == [str(keys)]
    assert keys.read_text().splitlines()[1].endswith(f'shop read" {READ_KEY}')


def test_what_stands_beside_it_stays(setup: server_setup.ClientSetup) -> None:
    keys = Path(setup.authorized_keys)
    keys.parent.mkdir()
    keys.write_text(f"# a person's\nssh-rsa AAAAother me\n{KEY}\nssh-rsa AAAAlast me\n")
    assert server_setup.set_up(setup)
    lines = keys.read_text().splitlines()
    assert lines[:2] == ["# a person's", "ssh-rsa AAAAother me"]
    assert lines[2].endswith(f'write" {KEY}') and lines[3] == "ssh-rsa AAAAlast me"
    assert lines[4].endswith(f'read" {READ_KEY}') and len(lines) == 5


def test_a_link_to_keys_elsewhere_is_not_followed(
    setup: server_setup.ClientSetup, tmp_path: Path
) -> None:
    secret = tmp_path / "shadow"
    secret.write_text("root:secret\n")
    keys = Path(setup.authorized_keys)
    keys.parent.mkdir()
    keys.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        server_setup.set_up(setup)
    assert secret.read_text() == "root:secret\n"


def test_a_disk_that_is_not_mounted_is_not_set_up_again(
    setup: server_setup.ClientSetup, tmp_path: Path
) -> None:
    server_setup.set_up(setup)
    copy = Path(setup.config["root"])
    copy.rename(tmp_path / "away")
    copy.mkdir(mode=0o700)
    with pytest.raises(ResilienceError, match="mount the copy's disk"):
        server_setup.set_up(setup)
    assert list(copy.iterdir()) == []
    # A copy that comes back, or is set up on a new server, keeps its identity.
    copy.rmdir()
    (tmp_path / "away").rename(copy)
    before = server_store.identity_of(str(copy))
    (tmp_path / "kit" / "clients" / "shop.json").unlink()
    server_setup.set_up(setup)
    assert server_store.identity_of(str(copy)) == before != ""


def test_an_account_that_is_not_there(
    setup: server_setup.ClientSetup,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = dataclasses.asdict(dataclasses.replace(setup, account="nobody-here"))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(values)))
    assert server_setup.main([]) == 2
    assert "no account nobody-here" in capsys.readouterr().err
    assert not os.path.exists(setup.kit_dir)


class TestClients:
    """Several hosts on one server: each has its own name and its own folder."""

    @pytest.fixture
    def clients(self, tmp_path: Path) -> Path:
        folder = tmp_path / "clients"
        folder.mkdir()
        (folder / "one.json").write_text(json.dumps({"root": "/backups/one"}))
        (folder / "notes.txt").write_text("no client")
        return folder

    @pytest.mark.parametrize(
        ("name", "root", "problem"),
        [
            ("one", "/backups/one", ""),
            ("two", "/backups/two", ""),
            ("two", "/backups/one-more", ""),
            ("one", "/backups/two", "another client of this name"),
            ("two", "/backups/one", "another client, one"),
            ("two", "/backups", "another client, one"),
            ("two", "/backups/one/inside", "another client, one"),
        ],
    )
    def test_none_takes_the_place_of_another(
        self, clients: Path, name: str, root: str, problem: str
    ) -> None:
        if not problem:
            server_clients.require_free(str(clients), name, root)
            return
        with pytest.raises(ResilienceError, match=problem):
            server_clients.require_free(str(clients), name, root)

    def test_a_first_client_of_a_server(self, tmp_path: Path) -> None:
        clients = tmp_path / "none"
        server_clients.require_free(str(clients), "one", "/backups/one")
        assert not clients.exists()
