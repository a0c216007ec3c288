# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sealed comes back byte by byte, or not at all; by the real age."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pty
import random
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
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.seal_settings import (
    SealSettings,
)
from support.sealed_files import made_identity, pair, sealed

__all__ = ["pair"]

# Around the 64 KiB blocks of age's format.
SIZES = (0, 1, 65535, 65536, 65537, 200000)
COLLECTIONS = Path(__file__).resolve().parents[2] / "build" / "collections"


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


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "age"])
def test_a_key_with_a_passphrase_is_no_damage(tmp_path: Path, kind: str) -> None:
    """Nobody is there to type it; the backup is whole, and the error must not doubt that."""
    key, recipients = tmp_path / "key", tmp_path / "recipients"
    if kind == "age":
        plain, public = made_identity(tmp_path, "own")
        recipients.write_text(f"{public}\n")
        with_passphrase(plain, key)
    else:
        make = ["ssh-keygen", "-q", "-t", kind, "-N", "secret", "-f", key]
        subprocess.run(make, check=True)
        recipients.write_text(key.with_suffix(".pub").read_text())
    target, _done = sealed(tmp_path, b"text", recipients)
    with pytest.raises(ResilienceError, match="protected by a passphrase") as caught:
        age.open_file(str(target), str(tmp_path / "out"), [str(key)], time_limit=9)
    assert not isinstance(caught.value, BackupError)
    assert caught.value.option == age.OPENING_OPTION
    if kind == "age":  # and the other way round: a backup that was encrypted with one
        with pytest.raises(BackupError, match="with a passphrase"):
            age.open_file(str(key), str(tmp_path / "out"), [str(plain)], time_limit=9)


def with_passphrase(source: Path, target: Path) -> None:
    """Encrypt a file with a passphrase, which age takes from a terminal only."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("age", ["age", "--passphrase", "--output", str(target), str(source)])
    shown = b""
    with contextlib.suppress(OSError):  # it ends, and the terminal with it
        for _prompt in range(2):
            while not shown.rstrip().endswith(b":"):
                shown += os.read(terminal, 1000)
            os.write(terminal, b"correct horse battery\n")
            shown = b""
        while os.read(terminal, 1000):
            pass
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0 and target.exists()


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
