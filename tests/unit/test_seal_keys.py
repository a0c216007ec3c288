# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a host, the proof of the owner's offline key, and signatures."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    age,
    keys,
    public_keys,
    signatures,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)
from support.sealed_files import made_identity, pair, sealed, untested_keys

__all__ = ["pair"]


def test_the_owner_proves_the_offline_key_with_the_test_file(tmp_path: Path) -> None:
    offline, public = made_identity(tmp_path, "offline")
    folder = str(tmp_path / "sealing")
    settings = SealSettings(recipients=(public,))
    assert keys.set_up(folder, settings) is True
    assert keys.set_up(folder, settings) is False
    with pytest.raises(ResilienceError, match="nobody has opened the test file") as caught:
        keys.load(folder, settings)
    assert caught.value.remedy is not None
    (tmp_path / "test.age").write_text(
        "-----BEGIN" + caught.value.remedy.partition("-----BEGIN")[2]
    )
    word = subprocess.run(
        ["age", "-d", "-i", offline, tmp_path / "test.age"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # The host's own identity does not open the test: that would prove nothing.
    assert (
        subprocess.run(
            ["age", "-d", "-i", Path(folder, "identity"), tmp_path / "test.age"],
            capture_output=True,
            check=False,
        ).returncode
        != 0
    )
    for wrong in ("guess", "", word[:-1]):
        keys.set_up(folder, SealSettings(recipients=(public,), opened=wrong))
        with pytest.raises(ResilienceError, match="nobody has opened"):
            keys.load(folder, settings)
    assert keys.set_up(folder, SealSettings(recipients=(public,), opened=word)) is True
    loaded = keys.load(folder, settings)
    assert loaded.recipients[1:] == (public,)
    assert keys.status(folder, settings)["proofs"][0]["proved"] == keys.OPENED
    assert word not in Path(folder, "proof.json").read_text()


def test_the_offline_key_on_the_host_after_a_recovery_is_its_own_proof(tmp_path: Path) -> None:
    offline, public = made_identity(tmp_path, "offline")
    other, _public = made_identity(tmp_path, "other")
    folder = str(tmp_path / "sealing")
    for wrong in (str(other), str(tmp_path / "nowhere")):
        keys.set_up(folder, SealSettings(recipients=(public,), identity_files=(wrong,)))
        assert keys.status(folder, SealSettings(recipients=(public,)))["proofs"][0]["proved"] == ""
    settings = SealSettings(recipients=(public,), identity_files=(str(offline),))
    assert keys.set_up(folder, settings) is True
    assert keys.set_up(folder, settings) is False
    # It is proved for good: the key can leave the host again.
    assert keys.load(folder, SealSettings(recipients=(public,))).recipients[1:] == (public,)
    assert keys.status(folder, settings)["proofs"][0]["proved"] == keys.OPENED


def test_a_second_recipient_needs_a_proof_of_its_own(tmp_path: Path) -> None:
    first = made_identity(tmp_path, "first")[1]
    second = made_identity(tmp_path, "second")[1]
    folder = str(tmp_path / "sealing")
    keys.set_up(folder, SealSettings(recipients=(first,), untested=True))
    before = keys.load(folder, SealSettings(recipients=(first,)))
    both = SealSettings(recipients=(first, second))
    with pytest.raises(ResilienceError, match="not set up for these recipients"):
        keys.load(folder, both)
    keys.set_up(folder, both)
    with pytest.raises(ResilienceError, match="nobody has opened") as caught:
        keys.load(folder, both)
    assert caught.value.value == second
    keys.set_up(folder, SealSettings(recipients=(first, second), untested=True))
    assert keys.load(folder, both).fingerprint != before.fingerprint


def test_a_lost_identity_is_made_again_and_an_old_one_still_opens(tmp_path: Path) -> None:
    folder, settings = untested_keys(tmp_path)
    before = keys.load(str(folder), settings)
    target, _done = sealed(tmp_path, b"content", Path(before.recipients_file))
    (folder / "identity").rename(folder / "identity.2025")
    for name in ("signing", "signing.pub"):
        (folder / name).rename(folder / name.replace("signing", "signing.2025"))
    assert keys.set_up(str(folder), settings)
    after = keys.load(str(folder), settings)
    assert after.fingerprint != before.fingerprint
    assert set(before.signers) < set(after.signers)
    opened = tmp_path / "opened"
    age.open_file(str(target), str(opened), after.identity_files, time_limit=60)
    assert opened.read_bytes() == b"content"


def test_a_signing_key_that_was_deleted_counts_no_more(tmp_path: Path) -> None:
    folder, settings = untested_keys(tmp_path)
    before = keys.load(str(folder), settings)
    stolen = signatures.sign(b"text", before.signing_key)
    assert signatures.is_signed_by(b"text", stolen, list(before.signers))
    for name in ("signing", "signing.pub"):
        (folder / name).unlink()
    assert keys.set_up(str(folder), settings)
    after = keys.load(str(folder), settings)
    assert after.signers and not set(after.signers) & set(before.signers)
    assert not signatures.is_signed_by(b"text", stolen, list(after.signers))


def test_no_secret_key_is_in_an_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrappers around the programs note arguments and environment, and run the real ones."""
    seen = tmp_path / "seen"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("age", "age-keygen", "ssh-keygen"):
        wrapper = programs / name
        wrapper.write_text(
            f'#!/bin/sh\necho "$0 $*" >> {seen}\nenv >> {seen}\nexec {shutil.which(name)} "$@"\n'
        )
        wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    offline, public = made_identity(tmp_path, "offline")
    folder = tmp_path / "sealing"
    settings = SealSettings(recipients=(public,), untested=True, identity_files=(str(offline),))
    keys.set_up(str(folder), settings)
    loaded = keys.load(str(folder), settings)
    target, _done = sealed(tmp_path, b"content", Path(loaded.recipients_file))
    age.open_file(str(target), str(tmp_path / "o"), loaded.identity_files, time_limit=60)
    text = age.seal_text(b"text", loaded.recipients_file)
    assert age.open_text(text, "x", loaded.identity_files) == b"text"
    assert signatures.is_signed_by(
        b"text", signatures.sign(b"text", loaded.signing_key), list(loaded.signers)
    )
    log = seen.read_text()
    for name in ("age ", "age-keygen", "ssh-keygen"):
        assert f"bin/{name}" in log
    secrets = [
        line
        for path in (offline, folder / "identity", folder / "signing")
        for line in path.read_text().splitlines()
        if not line.startswith(("#", "-"))
    ]
    assert len(secrets) >= 5
    assert [secret for secret in secrets if secret in log] == []


@pytest.mark.parametrize("name", ["identity", "signing"])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    public = made_identity(tmp_path, "offline")[1]
    folder = tmp_path / "sealing"
    settings = SealSettings(recipients=(public,), untested=True)
    keys.set_up(str(folder), settings)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / name).chmod(0o644)
    with pytest.raises(ResilienceError, match="may be read by others"):
        keys.load(str(folder), settings)
    if name == "signing":
        (folder / name).unlink()
        with pytest.raises(ResilienceError, match="cannot be read"):
            keys.load(str(folder), settings)


def test_a_secret_key_among_the_recipients_is_refused_and_not_shown() -> None:
    secret, _public = age.new_identity()
    with pytest.raises(ResilienceError, match="no public key") as caught:
        SealSettings(recipients=(secret,))
    assert secret not in str(caught.value)
    ssh = f"ssh-ed25519 {'A' * 68}"
    lines = (
        f"{ssh} a\r",
        f"{ssh} a\u2028",
        f"{ssh} \udcff",
        f" {ssh}",
        f"{ssh}\n{ssh}",
        f"# {ssh}",
    )
    kinds = ("ecdsa-sha2-nistp256 AAAA", "sk-ssh-ed25519@openssh.com AAAA", "age1yubikey1qqqq")
    for wrong in ("", "age1xyz", "ssh-ed25519", "mail@example.org", *lines, *kinds):
        with pytest.raises(ResilienceError, match="seal.recipients"):
            SealSettings(recipients=(wrong,))
    with pytest.raises(ResilienceError, match="seal.signers"):
        SealSettings(signers=("ssh-ed25519 AAAA",))
    with pytest.raises(ResilienceError, match="seal.last_link"):
        SealSettings(last_link="17")


def test_a_signature_counts_for_its_text_its_key_and_its_namespace(tmp_path: Path) -> None:
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    signatures.new_key(mine)
    signatures.new_key(other)
    trusted = [signatures.public_key(mine)]
    assert public_keys.is_public_key(trusted[0])
    signature = signatures.sign(b"text\n", mine)
    assert signatures.is_signed_by(b"text\n", signature, trusted)
    assert signatures.is_signed_by(b"text\n", signature, [signatures.public_key(other), *trusted])
    assert not signatures.is_signed_by(b"Text\n", signature, trusted)
    assert not signatures.is_signed_by(b"text\n", signature, [signatures.public_key(other)])
    assert not signatures.is_signed_by(b"text\n", "", trusted)
    lines = signature.splitlines()
    for position in range(0, len(lines[1]), 7):
        flipped = "A" if lines[1][position] != "A" else "B"
        spoilt = lines[1][:position] + flipped + lines[1][position + 1 :]
        text = "\n".join([lines[0], spoilt, *lines[2:], ""])
        assert not signatures.is_signed_by(b"text\n", text, trusted)
    foreign = subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", mine, "-n", "git"],
        input=b"text\n",
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert not signatures.is_signed_by(b"text\n", foreign, trusted)


def test_a_key_that_age_refuses_is_named_before_anything_is_made(tmp_path: Path) -> None:
    """They look like public keys: a wrong checksum, half a key, a key that is too short."""
    public = age.new_identity()[1]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", key], check=True)
    last = "q" if public[-1] != "q" else "p"
    short = key.with_suffix(".pub").read_text().strip()
    for wrong in (public[:-1] + last, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA", short):
        folder = tmp_path / "sealing"
        with pytest.raises(ResilienceError, match="age refuses this public key") as caught:
            keys.set_up(str(folder), SealSettings(recipients=(public, wrong), untested=True))
        assert (caught.value.option, caught.value.value) == ("seal.recipients", wrong)
        assert not folder.exists()


def test_a_new_chain_comes_after_all_that_began_with_these_keys(tmp_path: Path) -> None:
    """Also where the clock has gone back, or forward and back."""
    folder, settings = untested_keys(tmp_path)
    loaded = keys.load(str(folder), settings)
    first = loaded.new_chain()
    assert first < loaded.new_chain()
    (folder / keys.CHAIN).write_text("20991231T235959Z-0123abcd\n")
    names = [loaded.new_chain() for _chain in range(3)]
    assert names == sorted(set(names)) and names[0] > "20991231T235959Z"
    for damaged in ("", "\0\0", "2099"):
        (folder / keys.CHAIN).write_text(damaged)
        assert first[:8] <= loaded.new_chain()[:8] < "2099"
