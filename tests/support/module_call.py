"""Calls a module of the collection as `ansible` does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def call(module: str, *arguments: str, **options: object) -> dict[str, Any]:
    """Runs the module here and returns its result; `failed` says whether it failed, `said` what
    `ansible` printed.
    """
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")),
            "localhost",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            json.dumps({"ansible_python_interpreter": sys.executable}),
            "-m",
            f"chefwell.resilience.{module}",
            "-a",
            json.dumps(options),
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
            "LC_ALL": "C.UTF-8",
        },
    )
    assert "=> {" in run.stdout, run.stdout + run.stderr
    result: dict[str, Any] = json.loads(run.stdout[run.stdout.index("=> {") + 3 :])
    result["failed"] = run.returncode != 0
    result["said"] = run.stdout + run.stderr
    return result
