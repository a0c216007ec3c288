"""Runs of Molecule scenarios on the tests' own engine, with counts of what they did.

Molecule does not fail when no host matches or no test exists; these counts show it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from . import instance_ssh
from .engine import Engine

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "extensions" / "molecule"
BUILD = ROOT / "build" / "molecule"
SECONDS = 900

_RECAP = re.compile(
    r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)\s+skipped=(\d+)",
    re.MULTILINE,
)
_TESTS = re.compile(r"^=+ (?:.*, )?(\d+) passed.* in [\d.]+s", re.MULTILINE)
_NOT_PASSED = re.compile(r"^=+ .*\b(\d+) (failed|skipped|error|errors|xfailed)\b", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Play:
    """One run of a playbook on one host, from its recap."""

    host: str
    ok: int
    changed: int
    failed: int


@dataclasses.dataclass(frozen=True)
class Ran:
    """The outcome of a call of molecule.

    Attributes:
        code: its exit code.
        output: all it wrote.
        seconds: how long it took.
    """

    code: int
    output: str
    seconds: float

    def plays(self) -> list[Play]:
        """The recaps of every playbook on every host, in their order."""
        return [
            Play(host, int(ok), int(changed), int(unreachable) + int(failed))
            for host, ok, changed, unreachable, failed, _skipped in _RECAP.findall(self.output)
        ]

    def tests(self) -> list[int]:
        """The number of passed tests of each run of tests."""
        return [int(number) for number in _TESTS.findall(self.output)]

    def not_passed(self) -> list[str]:
        """The outcomes of tests other than passed."""
        return [f"{number} {what}" for number, what in _NOT_PASSED.findall(self.output)]


class Scenario:
    """One scenario.

    Args:
        name: its folder below `extensions/molecule/`.
        engine: a running one, with its images.
        backups: a tree of the owner's backups that the hosts get.
        environment: variables beside this process's, which the scenario's files read.
    """

    def __init__(self, name: str, engine: Engine, backups: Path, **environment: str) -> None:
        self.name = name
        self.engine = engine
        self.folder = BUILD / name
        self.environment = {
            **engine.environment,
            **instance_ssh.environment(BUILD),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "NO_COLOR": "1",
            "ANSIBLE_HOME": str(BUILD / "ansible"),
            "ANSIBLE_LOCAL_TEMP": str(BUILD / "ansible" / "tmp"),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(self.folder),
            "MOLECULE_BACKUPS": str(backups),
            **environment,
        }

    def molecule(self, command: str, *arguments: str, **environment: str) -> Ran:
        """Run `molecule <command> --scenario-name <name>`, and keep its output in a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "molecule", command, "--scenario-name", self.name),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            cwd=ROOT,
            env={**self.environment, **environment},
            timeout=SECONDS,
            check=False,
        )
        ran = Ran(ended.returncode, ended.stdout, time.monotonic() - started)
        with (BUILD / f"{self.name}.log").open("a", encoding="utf-8") as log:
            log.write(f"$ molecule {command} {' '.join(arguments)}\n{ran.output}\n")
        return ran

    def inside(self, instance: str, script: str) -> str:
        """Run a line of shell on one of its hosts; return its output."""
        return self.engine.docker("exec", instance, "sh", "-c", script)
