"""Run a drill, beside firedrill (PyPI), over the same dump."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.chefwell.resilience.plugins.module_utils.database import postgres
from ansible_collections.chefwell.resilience.plugins.module_utils.drill import drill
from ansible_collections.chefwell.resilience.plugins.module_utils.proof import proof_settings
from ansible_collections.chefwell.resilience.plugins.module_utils.staging import staging
from ansible_collections.chefwell.resilience.plugins.module_utils.validation import (
    check_context,
)
from docker_lab import Engine, images
from testbed import Testbed

VERSION = "0.6.0"
TITLE = f"a restore drill of one dump, beside firedrill {VERSION} of PyPI"
COLLECTION = (
    "drill.run in a private PostgreSQL: digest, full decode, restore, every check, clean-up"
)
REFERENCE = "firedrill run --jobs 4, postgres:16 in a container (a local image), clean-up"
NOTE = (
    "firedrill restores into a container and checks less: no tenants, rows against the dump,"
    " columns, keys one by one, API. Most of its time goes into a check of every sequence."
)
ROUNDS = 2
ROOT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Fixture:
    dump: Path
    folder: Path
    binaries: postgres.Binaries
    firedrill: Path
    environment: dict[str, str]


@contextlib.contextmanager
def prepared(bed: Testbed) -> Iterator[Fixture]:
    backup = max(Path(bed.record["backups"], "daily").iterdir())
    binaries = postgres.find_binaries(bed.record["postgres"]["bin_dir"])
    program = _firedrill()
    with (
        tempfile.TemporaryDirectory(prefix="chefwell-bench-") as name,
        Engine.up(ROOT / "build" / "docker" / "gw0", report=_report) as engine,
    ):
        images.make(engine, ["postgres"], report=_report)
        folder = Path(name)
        folder.chmod(0o755)
        # Unpacked beforehand, so that neither side is measured at it.
        dump = folder / "chefwell_backup_20251120_030000.dump"
        with gzip.open(backup) as packed, dump.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        dump.chmod(0o644)
        yield Fixture(dump, folder, binaries, program, environment_for(engine, folder))


def environment_for(engine: Engine, folder: Path) -> dict[str, str]:
    """Return an environment whose `docker` uses this engine; firedrill passes no address itself."""
    wrapper = folder / "bin" / "docker"
    wrapper.parent.mkdir()
    real = shutil.which("docker")
    wrapper.write_text(f'#!/bin/sh\nexec {real} --host "unix://{engine.socket}" "$@"\n')
    wrapper.chmod(0o755)
    return {**os.environ, "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"}


def _firedrill() -> Path:
    home = ROOT / "build" / "firedrill"
    program = home / "bin" / "firedrill"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        install = [str(home / "bin" / "pip"), "install", "--quiet", f"firedrill=={VERSION}"]
        subprocess.run(install, check=True)
    return program


def _report(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")


def collection(fixture: Fixture) -> dict[str, str]:
    settings = proof_settings.ProofSettings(
        staging=staging.StagingSettings(
            "embedded", str(fixture.folder / "work"), bin_dir=fixture.binaries.bin_dir
        ),
        state_dir=str(fixture.folder / "state"),
        backup_path=str(fixture.folder),
        validation=check_context.ValidationSettings(
            tenant_query="SELECT schema_name FROM public.companies"
        ),
    )
    result = drill.run(settings, path=str(fixture.dump))
    _report(f"collection: {result['passed']} checks passed, {result['totals']['tables']} tables")
    return {"verdict": result["verdict"]}


def reference(fixture: Fixture) -> dict[str, str]:
    report = fixture.folder / "firedrill.json"
    report.unlink(missing_ok=True)
    command = ["run", str(fixture.dump), "--no-config", "--jobs", "4", "--quiet"]
    ended = subprocess.run(
        [str(fixture.firedrill), *command, "--json", str(report)],
        capture_output=True,
        text=True,
        env=fixture.environment,
        cwd=fixture.folder,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(f"firedrill ended with {ended.returncode}: {ended.stderr[-400:]}")
    found = json.loads(report.read_text())
    _report(f"firedrill: exit {ended.returncode}, {len(found.get('checks', []))} checks")
    return {"verdict": "passed" if ended.returncode == 0 else f"exit {ended.returncode}"}
