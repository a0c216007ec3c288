# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sealed comes back byte by byte, or not at all; by the real age and ssh-keygen."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.inventory import (
    backup_names,
    sealed_names,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    age,
    keys,
    opened_backup,
    signatures,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    ledger as ledger_module,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.ledger import (
    MADE,
    SENT,
    LedgerItem,
    SealLedger,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.links import (
    Content,
    Position,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)

# Around the 64 KiB blocks of age's format.
COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"
SIZES = (0, 1, 65535, 65536, 65537, 200000)


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


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_is_opened_to_the_byte(
    tmp_path: Path, pair: tuple[Path, Path], size: int
) -> None:
    identity, recipients = pair
    body = random.Random(size).randbytes(size)
    target, done = sealed(tmp_path, body, recipients)
    assert done.sha256 == hashlib.sha256(body).hexdigest()
    assert done.bytes == size
    assert done.sealed_sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert done.sealed_bytes == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.stat().st_mtime_ns == (tmp_path / "plain").stat().st_mtime_ns
    opened = tmp_path / "opened"
    assert age.open_file(str(target), str(opened), [str(identity)], time_limit=60) == done
    assert opened.read_bytes() == body
    assert sorted(path.name for path in tmp_path.iterdir()) == ["opened", "plain", "plain.age"]
    # The owner needs no more than age itself.
    plain = subprocess.run(["age", "-d", "-i", identity, target], capture_output=True, check=True)
    assert plain.stdout == body


def test_any_flipped_bit_and_any_cut_is_found(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    identity, recipients = pair
    target, _done = sealed(tmp_path, random.Random(1).randbytes(70000), recipients)
    body = target.read_bytes()
    chosen = random.Random(2)
    spoilt = []
    for position in [0, 21, 40, 120, 170, *(chosen.randrange(len(body)) for _ in range(20))]:
        flipped = bytearray(body)
        flipped[position] ^= 1 << chosen.randrange(8)
        spoilt.append(bytes(flipped))
    spoilt += [body[:end] for end in (0, 10, 100, 199, 200, 216, 65752, len(body) - 1)]
    spoilt += [body + b"x", body[:-20] + body[-19:]]
    for content in spoilt:
        target.write_bytes(content)
        opened = tmp_path / "opened"
        with pytest.raises((BackupError, age.WrongIdentity)):
            age.open_file(str(target), str(opened), [str(identity)], time_limit=60)
        assert not opened.exists()


def test_a_sealed_backup_is_known_by_its_first_bytes(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    """Whatever its name is; age writes it binary, or as text that can be pasted."""
    identity, recipients = pair
    backup = tmp_path / "shop_20260101_030000.dump"
    for options in ([], ["--armor"]):
        subprocess.run(
            ["age", *options, "-R", recipients, "-o", backup], input=b"PGDMP", check=True
        )
        Path(f"{backup}.sha256").write_text("plain, as a script leaves it")
        assert opened_backup.is_sealed(str(backup))
        (folder := tmp_path / f"at{len(options)}").mkdir()
        found = Path(
            opened_backup.open_backup(str(backup), str(folder), [str(identity)], time_limit=60)
        )
        assert found.read_bytes() == b"PGDMP" and found.name == backup.name
        assert found.with_name(f"{backup.name}.sha256").read_text().startswith("plain")
        backup.unlink()
    for body in (b"", b"age-encryption.org/v", b"PGDMP"):
        backup.write_bytes(body)
        assert not opened_backup.is_sealed(str(backup))
    assert not opened_backup.is_sealed(str(tmp_path))
    assert not opened_backup.is_sealed(str(tmp_path / "nothing"))


def test_a_sealed_file_is_sealed_again_for_others(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    """Nothing plain is written; a source that is not whole, or for others, leaves nothing."""
    identity, recipients = pair
    body = random.Random(3).randbytes(3 << 20)
    source, done = sealed(tmp_path, body, recipients)
    (tmp_path / "plain").unlink()
    other, public = made_identity(tmp_path, "other")
    others = tmp_path / "others"
    others.write_text(f"{public}\n")
    target = tmp_path / "again.age"

    def again(by: Path) -> tuple[age.AgeResult, tuple[str, int]]:
        return age.seal_again(str(source), str(target), [str(by)], str(others), time_limit=60)

    result, local = again(identity)
    assert (result.sha256, result.bytes) == (done.sha256, done.bytes)
    assert local == (done.sealed_sha256, done.sealed_bytes)
    assert result.sealed_sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert target.stat().st_mtime_ns == source.stat().st_mtime_ns
    plain = subprocess.run(["age", "-d", "-i", other, target], capture_output=True, check=True)
    assert plain.stdout == body
    target.unlink()
    with pytest.raises(age.WrongIdentity):
        again(other)
    with pytest.raises(ResilienceError, match="no key to open"):
        age.seal_again(str(source), str(target), [], str(others), time_limit=60)
    for spoilt in (b"", body[:10], *(source.read_bytes()[:end] for end in (100, 70000, -1))):
        source.write_bytes(spoilt)
        with pytest.raises(BackupError):
            again(identity)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "others", "plain.age"]


def test_a_full_disk_is_an_error_also_in_the_last_block(pair: tuple[Path, Path]) -> None:
    """The kernel writes a part of the block and reports nothing: the next write would."""
    code = (
        "import io, os, resource, signal, sys\n"
        "from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "folder = sys.argv[1]\n"
        "plain = os.path.join(folder, 'plain')\n"
        "with open(plain, 'wb') as file: file.write(b'x' * 100000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (99000, 99000))\n"
        "try: age.seal(plain, plain + '.age', sys.argv[2], time_limit=60)\n"
        "except OSError as error: print(error.errno, sorted(os.listdir(folder)))\n"
    )
    folder = pair[0].parent / "full"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(pair[1])],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"{errno.EFBIG} ['plain']\n", done


def test_a_foreign_identity_and_a_missing_one_are_named(
    tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    target, _done = sealed(tmp_path, b"text", pair[1])
    other, _public = made_identity(tmp_path, "other")
    with pytest.raises(age.WrongIdentity, match="other keys"):
        age.open_file(str(target), str(tmp_path / "out"), [str(other)], time_limit=60)
    for content in (None, "no key\n"):
        bad = tmp_path / "bad"
        if content:
            bad.write_text(content)
        with pytest.raises(ResilienceError, match="identity cannot be used") as caught:
            age.open_file(str(target), str(tmp_path / "out"), [str(bad)], time_limit=60)
        assert not isinstance(caught.value, BackupError)


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_opens_what_is_sealed_for_it(tmp_path: Path, kind: str) -> None:
    """The owner may keep an SSH key as the offline key; its comment is no part of it."""
    key, folder = tmp_path / "key", tmp_path / "sealing"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "owner, 2026", "-f", key], check=True
    )
    public = key.with_suffix(".pub").read_text().strip()
    settings = SealSettings(recipients=(public,), identity_files=(str(key),))
    keys.set_up(str(folder), settings)
    (proof,) = keys.status(str(folder), settings)["proofs"]
    word = age.open_text(proof["test"], "test", [str(key)]).decode().strip()
    proved = dataclasses.replace(settings, opened=word)
    keys.set_up(str(folder), proved)
    loaded = keys.load(str(folder), proved)
    target, done = sealed(tmp_path, b"content", Path(loaded.recipients_file))
    for identities in ([str(key)], [str(folder / "identity")], loaded.identity_files):
        opened = age.open_file(str(target), str(tmp_path / "o"), identities, time_limit=60)
        assert opened == done and (tmp_path / "o").read_bytes() == b"content"


_MEMORY = """
import json, re, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import age
peaks = []
def peak():
    # The programs that were started have ended: of them, getrusage(2) knows the largest.
    import resource
    own = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
    peaks.append([int(own) << 10, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10])
plain, target, opened, recipients, identity = sys.argv[2:]
peak()
age.seal(plain, target, recipients, time_limit=60)
age.open_file(target, opened, [identity], time_limit=60)
peak()
print(json.dumps(peaks))
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    identity, recipients = pair
    plain = tmp_path / "plain"
    with plain.open("wb") as file:
        file.truncate(100 << 20)
    places = [str(tmp_path / "sealed"), str(tmp_path / "opened"), str(recipients), str(identity)]
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(COLLECTIONS), str(plain), *places],
        capture_output=True,
        text=True,
        check=True,
    )
    (before, _programs), (after, programs) = json.loads(done.stdout)
    assert after - before < 16 << 20 and programs < 80 << 20, done.stdout
    assert os.path.getsize(places[1]) == 100 << 20


def test_a_file_that_changes_is_not_sealed(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * (64 << 20))
    stop = threading.Event()

    def grow() -> None:
        while not stop.wait(0.001):
            with plain.open("ab") as file:
                file.write(b"more")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        with pytest.raises(age.ChangedFile):
            age.seal(str(plain), str(tmp_path / "out"), str(pair[1]), time_limit=60)
    finally:
        stop.set()
        writer.join()
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]


def test_what_is_no_plain_file_is_not_sealed(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=r".+"):
            age.seal(str(tmp_path / name), str(tmp_path / "out"), str(pair[1]), time_limit=9)


def test_the_time_limit_ends_age(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program in age's place that never ends; the real one cannot be made to hang.
    (tmp_path / "age").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "age").chmod(0o755)
    (tmp_path / "plain").write_bytes(b"x" * (1 << 20))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ResilienceError, match="took longer than 0.2 s"):
        age.seal(str(tmp_path / "plain"), str(tmp_path / "out"), str(pair[1]), time_limit=0.2)
    assert not (tmp_path / "out").exists()


def test_names_of_sealed_backups_are_distinguished() -> None:
    known = backup_names.compiled("")
    name = "chefwell_backup_20251108_030000.dump.gz"
    for ending in (".age", ".link", ".manifest.json.age", ".roles.sql.age", ".sha256.age"):
        found = sealed_names.match(name + ending, known)
        assert found is not None
        assert found.backup == name
        assert found.is_backup == (ending == ".age")
        assert sealed_names.is_beside(f"daily/{name}{ending}", known) != found.is_backup
        # A sealed backup is a backup under its own name, too; what lies beside it is none.
        assert (backup_names.match_name(name + ending, known) is None) == (ending != ".age")
    for other in (name, f"{name}.gpg", f"{name}.manifest.json", f".{name}.age", "x.age", ".age"):
        assert sealed_names.match(other, known) is None
    assert sealed_names.match_stored(name, known)
    assert sealed_names.match_stored(f"{name}.age", known)
    assert not sealed_names.match_stored(f"{name}.age.age", known)


# --- keys ---------------------------------------------------------------------------------------


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


def untested_keys(root: Path) -> tuple[Path, SealSettings]:
    """A folder with the keys of a host for one recipient, who has opened nothing yet."""
    folder = root / "sealing"
    settings = SealSettings(recipients=(made_identity(root, "offline")[1],), untested=True)
    keys.set_up(str(folder), settings)
    return folder, settings


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
    for wrong in ("", "age1xyz", "ssh-ed25519", "mail@example.org"):
        with pytest.raises(ResilienceError, match="seal.recipients"):
            SealSettings(recipients=(wrong,))
    with pytest.raises(ResilienceError, match="seal.signers"):
        SealSettings(signers=("ssh-ed25519 AAAA",))
    with pytest.raises(ResilienceError, match="seal.last_link"):
        SealSettings(last_link="17")


# --- signatures ---------------------------------------------------------------------------------


def test_a_signature_counts_for_its_text_its_key_and_its_namespace(tmp_path: Path) -> None:
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    signatures.new_key(mine)
    signatures.new_key(other)
    trusted = [signatures.public_key(mine)]
    assert signatures.is_public_key(trusted[0])
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


# --- ledger -------------------------------------------------------------------------------------


def item(path: str, number: int = 1, state: str = MADE) -> LedgerItem:
    content = Content("a" * 64, 10, "b" * 64, 20)
    return LedgerItem(
        path, 5, content, {".manifest.json": content}, ("c" * 64, 30), number, "ff", state
    )


def test_the_ledger_remembers_across_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    ledger = SealLedger(path)
    odd = os.fsdecode(b"daily/\xff\n.dump")
    ledger.add([item("daily/a"), item(odd, 2)])
    ledger.add_link(Position("20251108T030000Z-aa", 2, "d" * 64))
    ledger.mark(["daily/a", "daily/unknown"], SENT)
    ledger.drop([odd, "daily/unknown"])
    again = SealLedger(path)
    assert again.items == {"daily/a": item("daily/a", state=SENT)}
    assert again.last == ledger.last
    assert (again.cut_off, again.damaged) == (False, 0)
    assert ledger_module.last_position(path) == str(ledger.last)
    Path(path).write_bytes(Path(path).read_bytes() + b'{"last": "2025')
    assert ledger_module.last_position(path) == ""
    assert ledger_module.last_position(f"{path}.none") == ""


def test_a_line_that_was_cut_off_is_no_damage_at_any_byte(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = SealLedger(str(path))
    ledger.add([item("daily/a")])
    before = path.read_bytes()
    ledger.add([item("daily/b", 2)])
    whole = path.read_bytes()
    for end in range(len(before) + 1, len(whole)):
        path.write_bytes(whole[:end])
        cut = SealLedger(str(path))
        assert (set(cut.items), cut.cut_off, cut.damaged) == ({"daily/a"}, True, 0)
    cut.add([item("daily/c", 3)])
    assert set(SealLedger(str(path)).items) == {"daily/a", "daily/c"}


def test_damage_is_counted_and_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = SealLedger(str(path))
    ledger.add([item("daily/a"), item("daily/b", 2), item("daily/c", 3)])
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b"\0\0\n", b"[]\n", b"null\n", lines[1][:40] + b"\n", b'{"item": {}}\n'):
        path.write_bytes(lines[0] + bad + lines[2])
        found = SealLedger(str(path))
        assert (set(found.items), found.damaged) == ({"daily/a", "daily/c"}, 1)
    found.mark(["daily/a"], SENT)
    assert SealLedger(str(path)).damaged == 0
    assert (tmp_path / "ledger.damaged").exists()


def test_the_ledger_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MOST_SPARE", 20)
    path = tmp_path / "ledger"
    ledger = SealLedger(str(path))
    for number in range(60):
        ledger.add([item("daily/a", number)])
    assert len(path.read_bytes().splitlines()) < 30
    assert SealLedger(str(path)).items["daily/a"].number == 59
    json.loads(path.read_text().splitlines()[0])
