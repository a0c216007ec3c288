# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that forges, alters, swaps, replays or withholds is found out by the links alone."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.common.errors import (
    BackupError,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    age,
    chain,
    links,
    signatures,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.chain import ServedFile
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.links import (
    Content,
    Link,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.positions import Position

CHAIN = "20251101T030000Z-0123abcd"
MANIFEST = ".manifest.json"


class Copy:
    """Five nights as a host sent them, which a server may change as it likes."""

    def __init__(self, folder: Path) -> None:
        self.key = str(folder / "key")
        signatures.new_key(self.key)
        self.signers = [signatures.public_key(self.key)]
        self.links: list[Link] = []
        self.served: dict[str, bytes | None] = {}
        self.files: dict[str, dict[str, ServedFile]] = {}
        for number in range(1, 6):
            self.send(number, f"daily/chefwell_backup_202511{number:02d}_030000.dump.gz")

    def send(self, number: int, path: str) -> Link:
        """Send one backup as number `number`."""
        content = Content(f"{number:064x}", 100 + number, f"{number + 16:064x}", 300 + number)
        beside = {MANIFEST: Content("a" * 64, 10, f"{number + 32:064x}", 210)}
        present = {link.name: link.number for link in self.links}
        link = Link(
            name=path,
            chain=CHAIN,
            number=number,
            time=f"2025-11-{number:02d}T04:00:00+00:00",
            taken_at=f"2025-11-{number:02d}T03:00:00",
            content=content,
            beside=beside,
            previous=self.links[-1].position.sha256 if self.links else "",
            present={**present, path: number},
        )
        self.links.append(link)
        self.put(link)
        return link

    def put(self, link: Link, path: str = "") -> None:
        """Put a backup with its link in its place."""
        path = path or link.name
        self.served[path] = link.file_content(self.key)
        parts = {".age": link.content, **link.beside}
        self.files[path] = {
            end: ServedFile(one.sealed_bytes, one.sealed_sha256) for end, one in parts.items()
        }

    def drop(self, path: str) -> None:
        """Take a backup away."""
        del self.served[path], self.files[path]

    @property
    def paths(self) -> list[str]:
        """The backups in their order."""
        return [link.name for link in self.links]

    def kinds(self, known: Position | None = None) -> set[str]:
        """The kinds of what a judge finds."""
        found = chain.judge(self.served, self.files, self.signers, known)
        for problem in found.problems:
            assert problem.text
        return {problem.kind for problem in found.problems}


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("chain"))


@pytest.fixture
def copy(genuine: Copy) -> Copy:
    """The five nights, to be spoilt."""
    made = Copy.__new__(Copy)
    made.key, made.signers, made.links = genuine.key, genuine.signers, list(genuine.links)
    made.served = dict(genuine.served)
    made.files = {path: dict(parts) for path, parts in genuine.files.items()}
    return made


def test_an_honest_copy_has_no_problem(copy: Copy) -> None:
    last = copy.links[-1].position
    assert copy.kinds() == set()
    assert copy.kinds(last) == set()
    judged = chain.judge(copy.served, copy.files, copy.signers, last)
    assert judged.newest.position == copy.links[-1].position
    assert Position.from_text(f" {last}\n") == last
    for wrong in ("", "a/1", f"{last}/", f"/1/{'a' * 64}", f"c/0/{'a' * 64}", f"c/-1/{'a' * 64}",
                  f"c/1/{'A' * 64}", f"c/1/{'g' * 64}", f"c/\u0661/{'a' * 64}", f"c d/1/{'a' * 64}",
                  f"c/{'9' * 5000}/{'a' * 64}", f"c/1/{'a' * 63}"):  # fmt: skip
        with pytest.raises(ValueError, match=r".*"):
            Position.from_text(wrong)


def test_a_link_holds_the_plain_digests_for_its_recipients_alone(
    copy: Copy, tmp_path: Path
) -> None:
    identity, recipients, other = (tmp_path / name for name in ("id", "recipients", "other"))
    secret, public = age.new_identity()
    identity.write_text(f"{secret}\n")
    other.write_text(f"{age.new_identity()[0]}\n")
    recipients.write_text(f"{public}\n")
    plain = copy.links[0]
    hidden = [
        links.hidden_digests(plain.content, plain.beside, str(recipients)) for _time in range(2)
    ]
    assert hidden[0] != hidden[1], "equal files would be seen to be equal"
    link = dataclasses.replace(plain, hidden=hidden[0])
    body = link.file_content(copy.key)
    for digest in (plain.content.sha256, plain.beside[MANIFEST].sha256):
        assert digest.encode() not in body
    read = links.verified(body, copy.signers)
    assert (read.content.sha256, read.content.bytes) == ("", plain.content.bytes)
    opened = links.opened(read, [str(identity)])
    assert opened == link and opened.position == read.position
    with pytest.raises(age.WrongIdentity):
        links.opened(read, [str(other)])
    damaged = hidden[0][:-60] + ("A" if hidden[0][-60] != "A" else "B") + hidden[0][-59:]
    for wrong in (damaged, "", age.seal_text(b"[]", str(recipients))):
        with pytest.raises(BackupError):
            links.opened(dataclasses.replace(read, hidden=wrong), [str(identity)])


def test_rotation_is_no_attack(copy: Copy) -> None:
    for path in copy.paths[:3]:
        copy.drop(path)
    assert copy.kinds(copy.links[-1].position) == {chain.GONE}
    judged = chain.judge(copy.served, copy.files, copy.signers)
    assert judged.serious() == []


def spoil_bit(copy: Copy) -> None:
    body = bytearray(copy.served[copy.paths[2]] or b"")
    place = random.Random(3).randrange(len(body) - 60)
    body[place] ^= 4
    copy.served[copy.paths[2]] = bytes(body)


def test_a_bit_flipped_anywhere_in_a_link_or_its_signature_is_found(copy: Copy) -> None:
    body = copy.served[copy.paths[2]]
    assert body
    signature = body.index(b"\n") + 1
    edges = [0, signature - 2, signature - 1, signature, signature + 40, len(body) - 2]
    chosen = random.Random(18)
    places = {*edges, *(chosen.randrange(len(body)) for _place in range(60))}
    for place in sorted(places):
        for bit in (1, 1 << chosen.randrange(1, 7)):
            spoilt = bytearray(body)
            spoilt[place] ^= bit
            with pytest.raises(links.NoLink):
                links.verified(bytes(spoilt), copy.signers)
    for end in (*range(0, signature, 97), signature, signature + 100, len(body) - 40):
        with pytest.raises(links.NoLink):
            links.verified(body[:end], copy.signers)


def test_a_link_is_one_line_and_one_signature_to_the_byte(copy: Copy) -> None:
    """ssh-keygen itself ignores what follows a signature, and how its lines are broken."""
    body = copy.served[copy.paths[2]] or b""
    text, _newline, armored = body.partition(b"\n")
    text += b"\n"
    begin, *lines, end = armored.splitlines(keepends=True)
    block, key = b"".join(lines), Path(copy.key)
    loose = [
        armored + b"\n",
        armored + b"x",
        armored + b"\0",
        armored + b'{"version":2}\n',
        armored * 2,
        armored + body,
        b"\n" + armored,
        b" " + armored,
        b"comment\n" + armored,
        armored.replace(b"\n", b"\r\n"),
        armored[:-1],
        begin + block.replace(b"\n", b"") + b"\n" + end,
        begin + b"\n" + block + end,
        begin + block.replace(b"\n", b" \n", 1) + end,
        begin + lines[0][:30] + b"\n" + lines[0][30:] + b"".join(lines[1:]) + end,
        begin.replace(b"-----B", b"----- B") + block + end,
    ]
    (key.with_name("text")).write_bytes(text)
    tolerated = []
    for number, signature in enumerate(loose):
        with pytest.raises(links.NoLink):
            links.verified(text + signature, copy.signers)
        tolerated += [number] * tolerated_by_ssh_keygen(key, text, signature)
    assert len(tolerated) > 5, "these would count without the rule"
    assert links.verified(body, copy.signers).position == copy.links[2].position


def tolerated_by_ssh_keygen(key: Path, text: bytes, signature: bytes) -> bool:
    signers, armored = key.with_name("signers"), key.with_name("armored")
    signers.write_text("x " + key.with_suffix(".pub").read_text())
    armored.write_bytes(signature)
    verify = ["ssh-keygen", "-q", "-Y", "verify", "-f", signers, "-I", "x"]
    done = subprocess.run(
        [*verify, "-n", signatures.NAMESPACE, "-s", armored],
        input=text, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0


def cut_link(copy: Copy) -> None:
    copy.served[copy.paths[2]] = (copy.served[copy.paths[2]] or b"")[:-90]


def forge_by_another_key(copy: Copy) -> None:
    key = f"{copy.key}.other"
    if not Path(key).exists():
        signatures.new_key(key)
    copy.served[copy.paths[4]] = copy.links[4].file_content(key)


def made_up(copy: Copy) -> None:
    copy.served["daily/chefwell_backup_20251106_030000.dump.gz"] = b'{"version":1}\nnothing\n'


def alter_content(copy: Copy) -> None:
    copy.files[copy.paths[1]][".age"] = ServedFile(302, "f" * 64)


def alter_size(copy: Copy) -> None:
    copy.files[copy.paths[1]][".age"] = ServedFile(1)


def alter_manifest(copy: Copy) -> None:
    copy.files[copy.paths[1]][MANIFEST] = ServedFile(210, "f" * 64)


def lose_manifest(copy: Copy) -> None:
    del copy.files[copy.paths[1]][MANIFEST]


def swap_files(copy: Copy) -> None:
    one, two = copy.paths[1:3]
    copy.files[one], copy.files[two] = copy.files[two], copy.files[one]


def swap_all(copy: Copy) -> None:
    one, two = copy.paths[1:3]
    copy.files[one], copy.files[two] = copy.files[two], copy.files[one]
    copy.served[one], copy.served[two] = copy.served[two], copy.served[one]


def old_one_as_newest(copy: Copy) -> None:
    copy.put(copy.links[0], copy.paths[4])


def withhold_the_link(copy: Copy) -> None:
    copy.served[copy.paths[4]] = None


def rewrite_history(copy: Copy) -> None:
    """Somebody with the key signs another night in the middle."""
    other = dataclasses.replace(copy.links[2], content=Content("9" * 64, 1, "8" * 64, 2))
    copy.put(other)


def one_more_under_a_number(copy: Copy) -> None:
    """In the middle, beside the one that has it."""
    other = dataclasses.replace(copy.links[1], name="daily/chefwell_backup_20251101_000000.dump.gz")
    copy.put(other)
    judged = chain.judge(copy.served, copy.files, copy.signers)
    assert judged.serious(other.name) and judged.serious(copy.paths[1]), (
        "either may be the true one"
    )


def same_number_twice(copy: Copy) -> None:
    other = dataclasses.replace(copy.links[2], name="weekly/other_20251103_030000.dump.gz")
    copy.put(other)


ATTACKS = [
    (spoil_bit, chain.FORGED),
    (cut_link, chain.FORGED),
    (forge_by_another_key, chain.FORGED),
    (made_up, chain.FORGED),
    (alter_content, chain.ALTERED),
    (alter_size, chain.ALTERED),
    (alter_manifest, chain.ALTERED),
    (lose_manifest, chain.ALTERED),
    (swap_files, chain.ALTERED),
    (swap_all, chain.REPLAYED),
    (old_one_as_newest, chain.REPLAYED),
    (withhold_the_link, chain.MISSING_LINK),
    (rewrite_history, chain.OUT_OF_ORDER),
    (same_number_twice, chain.OUT_OF_ORDER),
    (one_more_under_a_number, chain.OUT_OF_ORDER),
]


@pytest.mark.parametrize(("attack", "kind"), ATTACKS, ids=[one[0].__name__ for one in ATTACKS])
def test_every_attack_has_its_name(copy: Copy, attack: Callable[[Copy], None], kind: str) -> None:
    attack(copy)
    assert kind in copy.kinds()
    judged = chain.judge(copy.served, copy.files, copy.signers)
    assert judged.serious()


def test_withheld_nights_are_known_by_the_last_link_alone(copy: Copy) -> None:
    last = copy.links[-1].position
    copy.drop(copy.paths[4])
    # The rest is a genuine, older state: nothing in it shows that.
    assert copy.kinds() == set()
    assert copy.kinds(last) == {chain.WITHHELD}
    for path in copy.paths[:4]:
        copy.drop(path)
    assert copy.kinds(last) == {chain.WITHHELD}


def test_another_link_under_the_last_known_number_is_distinguished(copy: Copy) -> None:
    last = copy.links[-1].position
    copy.put(dataclasses.replace(copy.links[4], taken_at="2025-11-04T03:00:00"))
    assert chain.OUT_OF_ORDER in copy.kinds(last)


def test_an_older_version_of_a_rewritten_backup_is_a_replay(copy: Copy) -> None:
    old = copy.links[3]
    copy.send(6, old.name)
    assert copy.kinds() == set()
    copy.put(old)
    copy.put(dataclasses.replace(copy.links[4], number=7, present=copy.links[5].present))
    assert chain.REPLAYED in copy.kinds()


def test_a_new_chain_comes_after_the_old_one(copy: Copy) -> None:
    first = Link(
        "daily/chefwell_backup_20251109_030000.dump.gz",
        "20251109T030000Z-00000000",
        1,
        "2025-11-09T04:00:00+00:00",
        "",
        Content("1" * 64, 1, "2" * 64, 2),
    )
    copy.put(first)
    assert copy.kinds(copy.links[-1].position) == set()
    newest = chain.judge(copy.served, copy.files, copy.signers).newest
    assert newest.position == first.position
    # What was sent last is gone, and another chain, whoever's it is, does not stand for it.
    copy.drop(copy.paths[-1])
    assert copy.kinds(copy.links[-1].position) == {chain.WITHHELD}
    for path in copy.paths[:-1]:
        copy.drop(path)
    judged = chain.judge(copy.served, copy.files, copy.signers, copy.links[-1].position)
    assert "a new chain began since" in str(judged.serious("")[0].text)
    copy.drop(first.name)
    assert copy.kinds(first.position) == {chain.WITHHELD}


def test_nights_of_a_chain_that_began_while_the_clock_was_wrong_are_not_withheld_unseen(
    copy: Copy,
) -> None:
    """Its name comes before that of the older chain, whose links are still there."""
    early = [
        dataclasses.replace(link, chain="20200101T000000Z-0123abcd", name=f"weekly/{link.name[6:]}")
        for link in copy.links[:2]
    ]
    for link in early:
        copy.put(link)
    assert chain.WITHHELD not in copy.kinds(early[1].position)
    copy.drop(early[1].name)
    assert chain.WITHHELD in copy.kinds(early[1].position)


def test_nothing_unsigned_is_parsed(copy: Copy) -> None:
    huge = b'{"a":' + b"[" * 100000 + b"\n" + b"x"
    for body in (b"", b"\n", b"{}\n", huge, b"\xff" * 100, b"x" * (links.MOST_BYTES + 1)):
        with pytest.raises(links.NoLink):
            links.verified(body, copy.signers)
    signed = b'{"version":2}\n'
    body = signed + signatures.sign(signed, copy.key).encode()
    with pytest.raises(links.NoLink, match="cannot be used"):
        links.verified(body, copy.signers)
    # The same values in another form than the one in which links are signed.
    signed = json.dumps(json.loads(copy.links[0].signed_text()), sort_keys=True).encode() + b"\n"
    body = signed + signatures.sign(signed, copy.key).encode()
    with pytest.raises(links.NoLink, match="cannot be used"):
        links.verified(body, copy.signers)
    with pytest.raises(links.NoLink):
        links.verified(copy.served[copy.paths[0]] or b"", [])


FIRST_FORM = (
    b'{"beside":{},"chain":"20251101T030000Z-0123abcd","content":["%064x",1,"%064x",217],"name":'
    b'"daily/chefwell_backup_20251105_030000.dump.gz","number":5,"present":null,"previous":"",'
    b'"taken_at":"","time":"2025-11-05T04:00:00+00:00","version":1}\n' % (1, 2)
)


@pytest.mark.parametrize("version", [1, 3, 0, -1, "2", True, None, [2], 2.0])
def test_a_link_of_another_version_is_named_so(copy: Copy, version: object) -> None:
    """What a trusted key signed in a form that is not known is no forgery, and is not read."""
    path = copy.paths[-1]
    values = json.loads(copy.links[-1].signed_text()) | {"version": version}
    text = json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    copy.served[path] = text + signatures.sign(text, copy.key).encode("ascii")
    if version == 1 and version is not True:  # of earlier releases, and as readable as 2
        assert copy.kinds() == set()
        found = chain.judge(copy.served, copy.files, copy.signers).links[path]
        assert found.version == 1 and found.content.bytes == copy.links[-1].content.bytes
        text = FIRST_FORM
        copy.served[path] = text + signatures.sign(text, copy.key).encode("ascii")
    judged = chain.judge(copy.served, copy.files, copy.signers)
    assert [one.kind for one in judged.problems] == [chain.UNREADABLE]
    assert judged.serious(path) and "known is 2" in str(judged.problems[0].text)
    # Without a signature nobody looks at the number.
    copy.served[path] = text + b"-----BEGIN SSH SIGNATURE-----\n"
    assert copy.kinds() == {chain.FORGED}
