"""Drill the newest backup of a sealed offsite copy, beside a drill from a plain copy of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from support.drill_settings import drill_settings
from testbed import Testbed

from bench import offsite_lab
from bench.sealed_lab import SealedLab

RATE = "1gbit"
TITLE = "a drill of the newest backup, fetched over ssh and a link of 1 Gbit/s from a sealed copy"
COLLECTION = "drill.run from a sealed copy: links judged, opened, restored, every check"
REFERENCE = "drill.run from a plain copy of the same backup"
NOTE = "ratio: reference / collection; the aim is 1/1.15 = 0.87 or more"
ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Fixture:
    both: SealedLab
    bin_dir: str


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    """Copy the testbed's backups in each way."""
    with offsite_lab.lab(0, 0, RATE) as lab:
        shutil.copytree(bed.record["backups"], lab.tree, dirs_exist_ok=True)
        access = {"mode": "account", "key_file": str(lab.open_key)}
        lab.configure(path=str(lab.plain), **access)
        both = SealedLab(lab)
        sealed = json.loads(both.sealed.read_text())
        sealed["state_dir"] += "-sealed"
        for destination in sealed["destinations"]:
            destination["path"] = str(lab.copy)
        both.sealed.write_text(json.dumps(sealed))
        for side in (False, True):
            both.sync(sealed=side)
        yield Fixture(both, bed.record["postgres"]["bin_dir"])


def _drill(fixture: Fixture, config: Path) -> dict[str, Any]:
    root = fixture.both.lab.root / "drill"
    offsite_lab.empty(root)
    root.mkdir(exist_ok=True)
    result = drill.run(
        drill_settings(
            root, fixture.bin_dir, backup_path=str(root / "gone"), offsite_config=str(config)
        ),
        from_offsite=True,
    )
    if result["verdict"] != "passed":
        raise RuntimeError(result["problem"] or str(result["checks"])[:500])
    return {"rows": result["totals"]["rows"], "sha256": result["backup"]["sha256"]}


def collection(fixture: Fixture) -> dict[str, Any]:
    """Drill from the sealed copy."""
    return _drill(fixture, fixture.both.sealed)


def reference(fixture: Fixture) -> dict[str, Any]:
    """Drill from the plain copy."""
    return _drill(fixture, fixture.both.plain)
