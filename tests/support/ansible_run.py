"""Runs of Ansible on this host, as a user starts them, and the reading of their output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / "build" / "collections"


def _run(
    program: str, *arguments: str, collections: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible that lies beside this interpreter."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
            **environment,
        },
    )


def run_playbook(
    playbook: str,
    *arguments: str,
    variables: Mapping[str, object],
    inventory: str = "localhost,",
    collections: Path = COLLECTIONS,
) -> subprocess.CompletedProcess[str]:
    """Run a playbook.

    Args:
        playbook: a file of `playbooks/`, or a full name such as `chefwell.resilience.site`.
        arguments: more words of the command line.
        variables: extra variables.
        inventory: hosts, each followed by a comma, or a file.
        collections: where the collection is installed.
    """
    path = str(ROOT / "playbooks" / playbook) if playbook.endswith(".yml") else playbook
    return _run(
        "ansible-playbook",
        *("-i", inventory, "-e", json.dumps(variables), *arguments, path),
        collections=collections,
        ANSIBLE_PIPELINING="1",
    )


def run_module(module: str, *arguments: str, **options: object) -> dict[str, Any]:
    """Run a module of the collection on this host.

    Args:
        module: its name without the collection's.
        arguments: more words of the command line, such as `--check`.
        options: the module's options.

    Returns:
        The module's result; `failed` is set by Ansible's exit code, and `output` is all that
        Ansible printed.
    """
    run = _run(
        "ansible",
        *("localhost", "-i", "localhost,", "-c", "local"),
        *("-e", json.dumps({"ansible_python_interpreter": sys.executable})),
        *("-m", f"chefwell.resilience.{module}", "-a", json.dumps(options), *arguments),
        collections=COLLECTIONS,
        ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
        ANSIBLE_STDOUT_CALLBACK="ansible.builtin.minimal",
    )
    assert "=> {" in run.stdout, run.stdout + run.stderr
    result: dict[str, Any] = json.loads(run.stdout[run.stdout.index("=> {") + 3 :])
    return {**result, "failed": run.returncode != 0, "output": run.stdout + run.stderr}


def recap(output: str, host: str = "localhost") -> dict[str, int]:
    """The counts of a play's recap for one host: `ok`, `changed`, `failed` and so on."""
    line = re.search(rf"^{re.escape(host)} +: (.*)$", output, re.MULTILINE)
    assert line, output
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line[1])}


def changed_tasks(output: str, host: str = "") -> set[str]:
    """The names of the tasks that changed something, or would in check mode.

    Args:
        output: of a run of ansible-playbook.
        host: only this host's tasks; every host's when left out.
    """
    task, found = "", set()
    for line in output.splitlines():
        if named := re.match(r"TASK \[(?:chefwell\.resilience\.\w+ : )?(.*)\]", line):
            task = named[1]
        if (changed := re.match(r"changed: \[([^] ]+)", line)) and host in ("", changed[1]):
            found.add(task)
    return found


def changed_by_playbook(output: str, host: str) -> list[set[str]]:
    """`changed_tasks` of each playbook run on a host, in the order of an output of several runs."""
    # The text before the n-th recap was written by the n-th playbook.
    parts = re.split(r"^PLAY RECAP .*$", output, flags=re.MULTILINE)
    return [
        changed_tasks(written, host)
        for written, counts in zip(parts, parts[1:], strict=False)
        if re.search(rf"^{re.escape(host)}\s+: ok=", counts.partition("\n\n")[0], re.MULTILINE)
    ]
