"""The lab of the sealed rows: the offsite lab with a second configuration, which seals."""

from __future__ import annotations

import json
import subprocess

from bench.offsite_lab import PYTHON, Lab

MAKE_KEYS = (
    "import json, sys; from chefwell_resilience.sealing import keys, seal_settings;"
    "keys.set_up(sys.argv[1], seal_settings.SealSettings(**json.loads(sys.argv[2])))"
)


class SealedLab:
    """Both ways of one lab.

    Args:
        lab: its configuration stays the plain one.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.plain = lab.config
        self.sealed = lab.root / "offsite_sealed.json"
        offline = lab.root / "offline.key"
        made = subprocess.run(
            ["age-keygen", "-o", str(offline)], capture_output=True, text=True, check=True
        ).stderr
        seal = {"recipients": [made.partition(": ")[2].strip()], "untested": True}
        config_dir = lab.root / "etc"
        config_dir.mkdir()
        values = {**json.loads(self.plain.read_text()), "seal": seal, "config_dir": str(config_dir)}
        self.sealed.write_text(json.dumps(values))
        folder = str(config_dir / "sealing")
        subprocess.run(
            [PYTHON, "-c", MAKE_KEYS, folder, json.dumps(seal)], check=True, env=lab.environment
        )

    def sync(self, *, sealed: bool) -> int:
        """Run the command as cron does; return how many backups were sent."""
        self.lab.config = self.sealed if sealed else self.plain
        return int(self.lab.command("sync-backups-offsite")["files_sent"])
