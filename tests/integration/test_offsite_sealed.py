"""Sealed copies: sent once, compared by content, fetched and opened, over every transport."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
    ResilienceError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.server import (
    placement,
    server_job,
)
from support.backup_trees import add_backup, plan_tree
from support.gated_backup_server import store
from support.sealed_client import SealedClient, let_read, sealed_client
from support.sshd import Sshd, server

__all__ = ["server"]

# WebDAV keeps no times of change.
KINDS = ("gate", "account", "webdav")


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, server: Sshd, tmp_path: Path) -> Iterator[SealedClient]:
    """A client with the plan's tree, whose newest backup has a manifest, and an empty copy."""
    with sealed_client(request.param, server, tmp_path) as made:
        plan_tree(made.tree)
        newest = max((made.tree / "daily").iterdir())
        newest.with_name(newest.name + ".manifest.json").write_text(
            '{"taken_at": "2026-01-02T03:04:05+00:00", "tables": [["tenant_secret", "sales"]]}'
        )
        yield made


@pytest.fixture
def gated(server: Sshd, tmp_path: Path) -> Iterator[SealedClient]:
    """A client of a gated server with the plan's tree after one sealed sync."""
    with sealed_client("gate", server, tmp_path) as made:
        plan_tree(made.tree)
        newest = max((made.tree / "daily").iterdir())
        newest.with_name(f"{newest.name}.manifest.json").write_text('{"tables": []}')
        assert made.sync().status == "ok"
        yield made


def test_sealed_sent_once_and_compared(client: SealedClient, server: Sshd, tmp_path: Path) -> None:
    first = client.sync()
    assert (first.status, first.files_sent, first.attempts) == ("ok", 14, 1), first
    held = client.copied()
    assert len(held) == 29
    names = {str(path.relative_to(client.tree)) for path in client.tree.glob("*/chef*.gz")}
    assert {path.removesuffix(".age") for path in held if path.endswith(".gz.age")} == names
    assert all(body.startswith(b"age-encryption.org/v1\n") for path, body in held.items()
               if path.endswith(".age"))  # fmt: skip
    assert not client.spool.exists()

    second = client.sync()
    assert (second.status, second.files_sent, second.files_aside) == ("ok", 0, 0), second
    assert client.copied() == held
    assert client.in_sync()

    # A night: a new backup comes, the oldest goes.
    new = add_backup(client.tree, "daily", -0.01)
    oldest = min((client.tree / "daily").glob("*.gz"))
    oldest.unlink()
    night = client.sync()
    assert (night.files_sent, night.files_aside) == (1, 1), night
    assert night.sent == (f"daily/{new.name}",) and night.aside == (f"daily/{oldest.name}",)
    after = client.copied()
    assert len(after) == 29 and f"daily/{oldest.name}.link" not in after
    assert all(after[path] == body for path, body in held.items() if path in after)
    assert client.in_sync()

    # Any file of a sealed backup that changes on the server is seen by the comparison.
    newest = f"daily/{new.name}"
    for name in (f"{newest}.age", f"{newest}.link"):
        path = client.copy / name
        body = path.read_bytes()
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        found = client.verify(full=True)
        assert found["comparison"]["different"] == [newest], (name, found["comparison"])
        path.write_bytes(body)
    assert client.in_sync()

    if client.options["destinations"][0].get("mode") == "restricted":
        let_read(server)
    fetched = client.fetch(tmp_path / "here", tier="daily")
    assert fetched.read_bytes() == new.read_bytes()
    # The second newest has a manifest, which comes along.
    day = sorted(path for path in (client.tree / "daily").glob("*.gz"))[-2]
    date = f"{day.name[16:20]}-{day.name[20:22]}-{day.name[22:24]}"
    if day.name[16:24] != new.name[16:24]:
        fetched = client.fetch(tmp_path / "here", date=date)
        beside = fetched.with_name(fetched.name + ".manifest.json")
        assert "tenant_secret" in beside.read_text()
    fresh = client.new_host(tmp_path / "fresh")
    assert fresh.fetch(tmp_path / "there").read_bytes() == new.read_bytes()


def test_a_rotten_copy_is_found_by_both_sides_sealed_and_sent_again(
    gated: SealedClient, server: Sshd
) -> None:
    newest = max((gated.tree / "daily").glob("*.gz"))
    rotten = [f"daily/{newest.name}{end}" for end in (".age", ".link", ".manifest.json.age")]
    for name in rotten:
        path = gated.copy / name
        body, status = path.read_bytes(), path.stat()
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert not gated.in_sync()
    assert sorted(server_job.run(store(server)).rotten) == sorted(rotten)
    repaired = gated.sync()
    assert repaired.sent == (f"daily/{newest.name}",), repaired
    assert gated.in_sync()


@pytest.mark.parametrize("kind", ["account", "sftp", "webdav"])
def test_a_changed_copy_is_sent_once_more(kind: str, server: Sshd, tmp_path: Path) -> None:
    """Without a gate: of the same size, and with another time of change or the same.

    The ledger knows what arrived, so no verification is needed before the change.
    """
    with sealed_client(kind, server, tmp_path) as client:
        plan_tree(client.tree)
        name = f"daily/{max((client.tree / 'daily').glob('*.gz')).name}"
        assert client.sync().files_sent == 14
        sealed = client.copy / f"{name}.age"
        times = [sealed.stat().st_mtime_ns] + ([10**18] if kind != "webdav" else [])
        for mtime_ns in times:
            body = sealed.read_bytes()
            spoilt = body[:-1] + bytes([body[-1] ^ 1])
            sealed.write_bytes(spoilt)
            os.utime(sealed, ns=(mtime_ns, mtime_ns))
            if mtime_ns == times[0]:
                assert client.verify(full=True)["comparison"]["different"] == [name]
            assert list(client.sync().sent) == [name]
            assert sealed.read_bytes() != spoilt
            # What is reported as sent was sent, and not again in the next night.
            assert client.verify(full=True)["comparison"]["different"] == []
            again = client.sync()
            assert (again.status, list(again.sent)) == ("ok", []), again


def test_the_server_hands_out_something_else(
    gated: SealedClient, server: Sshd, tmp_path: Path
) -> None:
    let_read(server)
    fresh = gated.new_host(tmp_path / "fresh")
    newest = max((gated.copy / "daily").glob("*.gz.age"))
    older = sorted((gated.copy / "daily").glob("*.gz.age"))[-2]
    link = newest.with_suffix(".link")
    manifest = newest.with_name(f"{newest.stem}.manifest.json.age")
    kept = {path: path.read_bytes() for path in (newest, link, older, manifest)}

    def refused(match: str) -> None:
        with pytest.raises(BackupError, match=match):
            fresh.fetch(tmp_path / "there", tier="daily")
        assert not list((tmp_path / "there").rglob("*.dump.gz"))
        for path, body in kept.items():
            path.write_bytes(body)

    newest.write_bytes(kept[newest][:-1] + bytes([kept[newest][-1] ^ 1]))
    refused("not the one that was signed|damaged")
    newest.write_bytes(kept[newest][:-1])
    refused("not the one that was signed")
    newest.write_bytes(kept[older])
    refused("not the one that was signed")
    manifest.write_bytes(kept[manifest][:-1] + bytes([kept[manifest][-1] ^ 1]))
    refused("not the one that was signed|damaged")
    manifest.unlink()
    refused("signed, but not there")
    link.write_bytes(kept[link].replace(b'"number":', b'"number":1', 1))
    refused("forged or altered")
    link.unlink()
    refused("no signed link")
    link.write_bytes(older.with_suffix(".link").read_bytes())
    newest.write_bytes(kept[older])
    refused("the link is that of")
    # A backup that an attacker made for the host's public keys: anybody can.
    recipients = tmp_path / "recipients"
    recipients.write_text(gated.recipient + "\n")
    forged = subprocess.run(
        ["age", "-R", recipients], input=b"forged", capture_output=True, check=True
    ).stdout
    newest.write_bytes(forged)
    refused("not the one that was signed")
    assert fresh.fetch(tmp_path / "there", tier="daily").name == newest.stem
    # Of equal names in two tiers the time decides: the signed one, not that of the server's file.
    chosen = fresh.fetch(tmp_path / "there").parent.name
    for tier in {"daily", "weekly", "monthly"} - {chosen}:
        os.utime(gated.copy / tier / newest.name)
    assert fresh.fetch(tmp_path / "there").parent.name == chosen


def test_newer_backups_are_withheld(gated: SealedClient, server: Sshd, tmp_path: Path) -> None:
    newest = max((gated.copy / "daily").glob("*.gz.age"))
    transport = gated.sync_settings().transport
    last = str(transport.ledger.last)
    assert gated.sync().last_link == last
    for path in gated.copy.glob(f"*/{newest.name.removesuffix('.age')}*"):
        path.unlink()
    let_read(server)
    # What is left is an older state, genuine in itself: only who knows the last link sees it.
    fresh = gated.new_host(tmp_path / "fresh")
    assert fresh.fetch(tmp_path / "there").name < newest.name
    informed = gated.new_host(tmp_path / "informed", last_link=last)
    with pytest.raises(BackupError, match="withheld"):
        informed.fetch(tmp_path / "there")
    # The host itself knows by its ledger.
    with pytest.raises(BackupError, match="withheld"):
        gated.fetch(tmp_path / "there")


def test_a_plain_file_in_place_of_a_sealed_one_is_no_backup(
    gated: SealedClient, server: Sshd, tmp_path: Path
) -> None:
    planted = gated.copy / "daily" / "chefwell_backup_20300101_030000.dump.gz"
    planted.write_bytes(b"planted" * 100)
    let_read(server)
    fresh = gated.new_host(tmp_path / "fresh")
    assert fresh.fetch(tmp_path / "there").name != planted.name
    for path in gated.copy.glob("*/*.age"):
        path.rename(path.with_suffix(""))
    with pytest.raises(ResilienceError):
        fresh.fetch(tmp_path / "there")


def test_what_a_fresh_host_lacks_is_named(
    gated: SealedClient, server: Sshd, tmp_path: Path
) -> None:
    let_read(server)
    without_signers = gated.new_host(tmp_path / "a", signers=[])
    with pytest.raises(ResilienceError, match="seal.signers"):
        without_signers.fetch(tmp_path / "there")
    wrong = gated.new_host(tmp_path / "b")
    secret = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    Path(wrong.options["seal"]["identity_files"][0]).write_text(secret)
    with pytest.raises(ResilienceError, match="sealed for other keys"):
        wrong.fetch(tmp_path / "there")
    missing = gated.new_host(tmp_path / "c", identity_files=[str(tmp_path / "nowhere")])
    with pytest.raises(ResilienceError, match="cannot be read"):
        missing.fetch(tmp_path / "there")


@pytest.mark.parametrize("kind", ["gate", "sftp"])
def test_a_plain_copy_becomes_sealed_night_by_night(
    kind: str, server: Sshd, tmp_path: Path
) -> None:
    with sealed_client(kind, server, tmp_path) as client:
        plan_tree(client.tree)
        # Nine are enough for three nights.
        for tier in ("weekly", "monthly"):
            for path in sorted((client.tree / tier).iterdir())[:-1]:
                path.unlink()
        oldest = min((client.tree / "daily").iterdir())
        manifest = f"daily/{oldest.name}.manifest.json"
        (client.tree / manifest).write_text("{}")
        seal = client.options["seal"]
        client.write(seal={})
        assert client.sync().files_sent == 9 + 1
        client.write(seal=seal)
        sent: list[str] = []
        for night in range(6):
            new = add_backup(client.tree, "daily", -0.01 * (night + 1))
            newest = max(path.name for path in client.tree.glob("daily/*.gz"))
            result = client.sync()
            assert result.status in ("ok", "warning"), result
            assert not [one for one in result.warnings if "gone" in one], result
            sent += result.sent
            held = client.copied()
            # The newest is there, sealed; no backup is missing in both forms.
            assert newest == new.name and f"daily/{newest}.age" in held
            for path in client.tree.glob("*/*.gz"):
                name = str(path.relative_to(client.tree))
                assert name in held or f"{name}.age" in held
            # A manifest is there in the form of its backup.
            assert (manifest in held) == (f"daily/{oldest.name}" in held)
            assert (f"{manifest}.age" in held) == (f"daily/{oldest.name}.age" in held)
            is_sealed = not [name for name in held if name.endswith(".gz")]
            # The first and the last night read every byte.
            verified = client.verify(full=night == 0 or is_sealed)
            assert verified["comparison"]["in_sync"], verified["comparison"]
            left = [one for one in verified["weaker"] if "readable" in one]
            if is_sealed:
                assert night >= 2 and not left
                break
            assert left
        assert len(sent) == len(set(sent)), "a backup was sent twice"
        assert not [name for name in client.copied() if name.endswith((".gz", ".json"))]
        assert client.sync().files_sent == 0


def test_lost_and_new_keys(gated: SealedClient, server: Sshd, tmp_path: Path) -> None:
    """What is there is opened by the keys of its day; what comes, by the keys of today."""
    old = max((gated.tree / "daily").glob("*.gz")).name
    first_offline = gated.offline.read_bytes()
    # The host's identity is lost, and the owner replaces the offline key.
    (gated.keys_folder / "identity").unlink()
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    gated.offline.write_text(made.stdout)
    recipient = made.stderr.partition(": ")[2].strip()
    gated.write(seal={"recipients": [recipient], "untested": True})
    with pytest.raises(ResilienceError, match="not set up for these recipients"):
        gated.sync()
    gated.set_up_keys()
    new = add_backup(gated.tree, "daily", -0.01).name
    night = gated.sync()
    assert night.sent == (f"daily/{new}",), night
    assert gated.in_sync()
    let_read(server)
    fresh = gated.new_host(tmp_path / "fresh")
    assert fresh.fetch(tmp_path / "there").name == new
    assert gated.fetch(tmp_path / "here").name == new
    before = old[16:24]
    date = f"{before[:4]}-{before[4:6]}-{before[6:]}"
    if before != new[16:24]:
        for client in (fresh, gated):
            with pytest.raises(ResilienceError, match="sealed for other keys"):
                client.fetch(tmp_path / "there", date=date)
    gated.offline.write_bytes(first_offline)
    earlier = gated.new_host(tmp_path / "earlier")
    with pytest.raises(ResilienceError, match="sealed for other keys"):
        earlier.fetch(tmp_path / "there")
    assert earlier.fetch(tmp_path / "there", tier="monthly").exists()


def test_in_an_account_a_sealed_copy_becomes_plain_at_once(server: Sshd, tmp_path: Path) -> None:
    """Of what was sealed only the links stay; the rest is moved aside in the same sync."""
    with sealed_client("account", server, tmp_path) as client:
        plan_tree(client.tree)
        newest = max((client.tree / "daily").iterdir())
        newest.with_name(f"{newest.name}.manifest.json").write_text('{"tables": []}')
        client.sync()
        client.write(seal={})
        assert client.sync().status == "refused"
        assert client.sync(overrides=["destination", "mass-change"]).files_sent == 15
        held = {name for name in client.copied() if not name.endswith(".link")}
        assert not [name for name in held if name.endswith(".age")] and len(held) == 15
        assert client.in_sync() and client.sync().status == "ok"


@pytest.mark.parametrize("kind", ["account", "gate"])
def test_a_lost_ledger_costs_one_more_transfer(kind: str, server: Sshd, tmp_path: Path) -> None:
    """Behind the gate a person on the server agrees, once; until then the copy is as it was.

    In an account the signing key was stolen, too, and is deleted as the documents say.
    """
    with sealed_client(kind, server, tmp_path) as client:
        plan_tree(client.tree)
        client.sync()
        client.ledger_file.unlink()
        assert not client.in_sync(), "unknown bytes do not count as equal"
        signed = (client.keys_folder / "signing.pub").read_text()
        if kind == "account":
            (client.keys_folder / "signing").unlink()
            (client.keys_folder / "signing.pub").unlink()
            client.set_up_keys()
        before = client.copied()
        again = client.sync()
        if kind == "gate":
            assert again.status == "refused" and "accept" in again.remedy, again
            assert client.copied() == before
            assert placement.accept_refused(store(server)) is not None
            again = client.sync()
        else:
            assert again.files_sent == 14, again
            assert (client.keys_folder / "signing.pub").read_text() != signed
        assert again.status in ("ok", "warning"), again
        assert client.in_sync() and client.sync().files_sent == 0


def test_what_a_key_signed_that_is_gone_is_sealed_anew(server: Sshd, tmp_path: Path) -> None:
    """Lost or stolen and deleted: nothing that it signed counts, and no copy may depend on it."""
    with sealed_client("account", server, tmp_path) as client:
        for tier in ("daily", "weekly", "monthly"):
            (client.tree / tier).mkdir(parents=True)
        (client.tree / ".chefwell-backups").touch()
        for day in (0, 1, 2):
            add_backup(client.tree, "daily", day)
        assert client.sync().files_sent == 3
        before = client.copied()
        for name in ("signing", "signing.pub"):
            (client.keys_folder / name).unlink()
        client.set_up_keys()
        assert not client.in_sync(), "what nobody trusts does not count as equal"
        assert client.sync(overrides=["mass-change"]).files_sent == 3
        assert client.in_sync() and client.sync().files_sent == 0
        links = [path for path in before if path.endswith(".link")]
        assert all(client.copied()[path] != before[path] for path in links)
        assert client.new_host(tmp_path / "fresh").fetch(tmp_path / "there").exists()


def test_a_sealed_copy_becomes_plain_again(gated: SealedClient, server: Sshd) -> None:
    """Everything is sent plain once; what is sealed stays until a person on the server agrees."""
    sealed = set(gated.copied())
    gated.write(seal={})
    # A guard of the host refuses first: of what was sent nothing is there under its plain name.
    assert gated.sync().status == "refused" and set(gated.copied()) == sealed
    # Nor may so many go as the sealed ones are, which it does not have here.
    back = gated.sync(overrides=["destination", "mass-change"])
    held = set(gated.copied())
    # The manifest beside the newest one comes along.
    local = (*gated.tree.glob("*/*.gz"), *gated.tree.glob("*/*.manifest.json"))
    plain = {str(path.relative_to(gated.tree)) for path in local}
    assert plain <= held and sealed <= held
    assert back.status == "refused" and "accept" in back.remedy, back
    assert placement.accept_refused(store(server)) is not None
    assert set(gated.copied()) == plain
    again = gated.sync()
    assert (again.status, again.files_sent) == ("ok", 0), again
    assert gated.in_sync()


def test_a_move_that_was_cut_off_is_ended(server: Sshd, tmp_path: Path) -> None:
    """A link without its backup is moved aside, or the backup is sent again."""
    with sealed_client("account", server, tmp_path) as client:
        plan_tree(client.tree)
        client.sync()
        oldest, second = sorted((client.tree / "daily").glob("*.gz"))[:2]
        oldest.unlink()
        for name in (oldest.name, second.name):
            (client.copy / "daily" / f"{name}.age").unlink()
        result = client.sync()
        assert (result.sent, result.aside) == (
            (f"daily/{second.name}",),
            (f"daily/{oldest.name}",),
        ), result
        assert not list((client.copy / "daily").glob(f"{oldest.name}*"))
        assert client.in_sync()
