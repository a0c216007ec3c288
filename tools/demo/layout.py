"""Where everything of the demo lies, and how its people are spoken to."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# In the environment of whatever the demo starts, so that `demo-clean` knows it again.
MARK = "CHEFWELL_DEMO_ROOT"


class DemoError(Exception):
    """Something that the person who runs the demo is told, in one message."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """The demo's folders and files.

    Attributes:
        root: of the whole demo; nothing of it lies elsewhere, cron lines aside.
    """

    root: Path

    @property
    def bed(self) -> Path:
        """The testbed: production, its backups, the backup server."""
        return self.root / "bed"

    @property
    def host(self) -> Path:
        """Stands for `/` of the production host: the paths of the plan lie below it."""
        return self.root / "host"

    @property
    def inventory(self) -> Path:
        """The demo inventory, with its `group_vars` beside it."""
        return self.root / "inventory" / "hosts.yml"

    @property
    def scripts(self) -> Path:
        """The host commands, as the plan names the folder."""
        return self.host / "root/restaurante/scripts"

    @property
    def config(self) -> Path:
        """One file a stage."""
        return self.host / "etc/chefwell-resilience"

    @property
    def state(self) -> Path:
        """What the commands remember."""
        return self.host / "var/lib/chefwell-resilience"

    @property
    def ansible(self) -> Path:
        """What Ansible would put into the home folder."""
        return self.root / "ansible"

    @property
    def log(self) -> Path:
        """All that the plays printed."""
        return self.root / "play.log"

    @property
    def results(self) -> Path:
        """For programs; docs/results.md."""
        return self.root / "results.json"

    @property
    def report(self) -> Path:
        """For people."""
        return self.root / "report.html"


def say(line: str = "") -> None:
    """Tells how it goes."""
    print(f"demo: {line}" if line else "", flush=True)


def heading(text: str) -> None:
    """Begins a part of the demo, in a way that is seen among much output."""
    line = f"-- {text} " + "-" * max(0, 76 - len(text))
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{line}{plain}", flush=True)
