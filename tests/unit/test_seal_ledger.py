# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of what was sealed: remembered, cut off, damaged."""

from __future__ import annotations

import dataclasses
import json
import os
import random
from pathlib import Path

import pytest
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing import (
    ledger as ledger_module,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.ledger import SealLedger
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.ledger_items import (
    MADE,
    SENT,
    LedgerItem,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.links import (
    Content,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.sealing.positions import Position

CHAIN = "20251108T030000Z-aa"


def item(path: str, number: int = 1, state: str = MADE) -> LedgerItem:
    content = Content("a" * 64, 10, "b" * 64, 20)
    return LedgerItem(
        path, 5, content, {".manifest.json": content}, ("c" * 64, 30), number, "ff", state,
        chain=CHAIN,
    )  # fmt: skip


def test_the_ledger_remembers_across_runs(tmp_path: Path) -> None:
    path = str(tmp_path / "ledger")
    ledger = SealLedger(path)
    odd = os.fsdecode(b"daily/\xff\n.dump")
    ledger.add([item("daily/a"), item(odd, 2)])
    ledger.add_link(Position(CHAIN, 2, "d" * 64))
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


def test_a_bit_flipped_anywhere_is_damage_and_begins_a_new_chain(tmp_path: Path) -> None:
    """A number or a digest that a flip changed would be an alarm about a server that is honest."""
    path = tmp_path / "ledger"
    ledger = SealLedger(str(path))
    ledger.add_link(Position(CHAIN, 7, "d" * 64))
    ledger.add([item("daily/a", 7, SENT)])
    whole = path.read_bytes()
    assert SealLedger(str(path)).last_sent == Position(CHAIN, 7)
    chosen = random.Random(18)
    for place in range(0, len(whole), 3):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(spoilt)
        found = SealLedger(str(path))
        if found.damaged or found.cut_off:
            assert found.last is None or found.cut_off
            continue
        # The name of the checksum itself.
        assert (found.last, found.items) == (ledger.last, ledger.items), place
    assert ledger_module.last_position(str(path)) in ("", str(ledger.last))


def test_numbers_of_a_chain_that_was_lost_count_no_more(tmp_path: Path) -> None:
    """They are higher than those of the new one: the host would miss what was never sent."""
    path = tmp_path / "ledger"
    ledger = SealLedger(str(path))
    ledger.add([item("daily/a", 400, SENT), item("daily/b", 401, SENT)])
    ledger.add_link(Position(CHAIN, 401, "d" * 64))
    # As an earlier version wrote it, which named no chain in an item and had no checksums.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.pop("check")
        line.get("item", {}).pop("chain", None)
    old = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(old)
    assert SealLedger(str(path)).last_sent == Position(CHAIN, 401)
    for text in (old.replace(CHAIN, "\0"), old + "{}\n"):
        path.write_text(text)
        found = SealLedger(str(path))
        assert found.damaged == 1 and found.last_sent is None
        new = "20251201T030000Z-bb"
        found.add_link(Position(new, 1, "e" * 64))
        assert SealLedger(str(path)).last_sent is None
        found.add([dataclasses.replace(item("daily/c", 1, SENT), chain=new)])
        assert SealLedger(str(path)).last_sent == Position(new, 1)
