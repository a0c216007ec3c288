"""The README's commands install the collection for a user who has nothing but a clone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from support.ansible_run import ROOT


def install_commands(page: Path) -> str:
    """The block of commands of a page that builds and installs the collection."""
    blocks = re.findall(r"(?:^    .*\n)+", page.read_text(encoding="utf-8"), re.MULTILINE)
    (found,) = (one for one in blocks if "ansible-galaxy collection install" in one)
    lines = [line.strip() for line in found.splitlines()]
    return "".join(f"{one}\n" for one in lines if not one.startswith(("git ", "ansible-playbook ")))


def test_it_is_found_wherever_the_inventory_is(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "checkout")], check=True)
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
        "HOME": str(tmp_path / "home"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    (tmp_path / "home").mkdir()

    def run(command: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(install_commands(ROOT / "README.md"), tmp_path / "checkout")
    held = tmp_path / "home" / ".ansible" / "collections" / "ansible_collections"
    assert (held / "chefwell" / "resilience" / "MANIFEST.json").is_file()
    assert not (tmp_path / "checkout" / "build").exists()
    listed = run("ansible-doc -l chefwell.resilience", tmp_path / "home")
    assert "chefwell.resilience.disk_usage_check" in listed


def test_every_page_has_the_same_commands() -> None:
    pages = ("README.md", "README.pt-BR.md", "docs/getting-started.md")
    found = {re.sub(r" *#.*", "", install_commands(ROOT / page)) for page in pages}
    assert len(found) == 1
