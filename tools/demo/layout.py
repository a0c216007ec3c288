"""Folders and files of the demo, and its messages on the terminal."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Environment variable of every process that the demo starts, by which `demo-clean` finds it.
MARK = "CHEFWELL_DEMO_ROOT"


class DemoError(Exception):
    """An error with one message for the person who runs the demo."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The demo's folders and files.

    Attributes:
        root: folder of the whole demo; only cron lines lie elsewhere.
    """

    root: Path

    @property
    def bed(self) -> Path:
        """The testbed: production, its backups, the backup server."""
        return self.root / "bed"

    @property
    def host(self) -> Path:
        """The folder that stands for `/` of the production host."""
        return self.root / "host"

    @property
    def inventory(self) -> Path:
        """The demo inventory, with its `group_vars` beside it."""
        return self.root / "inventory" / "hosts.yml"

    @property
    def scripts(self) -> Path:
        """The folder of the host commands."""
        return self.host / "root/restaurante/scripts"

    @property
    def config(self) -> Path:
        """The folder of the configuration files, one per stage."""
        return self.host / "etc/chefwell-resilience"

    @property
    def state(self) -> Path:
        """The folder of the commands' state."""
        return self.host / "var/lib/chefwell-resilience"

    @property
    def ansible(self) -> Path:
        """The folder in place of `~/.ansible`."""
        return self.root / "ansible"

    @property
    def log(self) -> Path:
        """The output of all plays."""
        return self.root / "play.log"

    @property
    def results(self) -> Path:
        """The results for programs, documented in docs/results.md."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.root / "report.html"


def report(line: str = "") -> None:
    """Print a line of progress."""
    print(f"demo: {line}" if line else "", flush=True)


def heading(text: str) -> None:
    """Print the heading of a part of the demo."""
    line = f"-- {text} " + "-" * max(0, 76 - len(text))
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{line}{plain}", flush=True)
