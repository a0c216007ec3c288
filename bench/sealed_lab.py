"""The lab of the sealed rows: the offsite lab with a second configuration, which seals."""

from __future__ import annotations

import json
import subprocess

from bench.offsite_lab import PYTHON, Lab

MAKE_KEYS = (
    "import json, sys; from chefwell_resilience.sealing import keys, seal_settings;"
    "keys.set_up(sys.argv[1], seal_settings.SealSettings(**json.loads(sys.argv[2])))"
)

# Makes a copy that looks sealed: what each file holds is known, and nobody opens it.
FILL = """
import datetime, hashlib, os, sys
from chefwell_resilience.sealing import keys, ledger, ledger_items, seal_settings
from chefwell_resilience.sealing.links import Content
from chefwell_resilience.sealing.positions import Position

tree, copy, file, folder, count = *sys.argv[1:5], int(sys.argv[5])
loaded = keys.load(folder, seal_settings.SealSettings(recipients=(sys.argv[6],), untested=True))
chain, signer, fingerprint = loaded.new_chain(), loaded.signer, loaded.fingerprint
begin, items = datetime.datetime.now(), []
written = ledger.SealLedger(file)
tiers = ("daily", "weekly", "monthly")
for tier in tiers:
    os.makedirs(os.path.join(copy, tier), exist_ok=True)

def made(path, content, moment):
    with open(path, "wb") as target:
        target.write(content)
    os.utime(path, (moment, moment))
    return hashlib.sha256(content).hexdigest(), len(content)

for number in range(1, count + 1):
    taken = begin - datetime.timedelta(minutes=number)
    path = f"{tiers[number % 3]}/chefwell_backup_{taken:%Y%m%d_%H%M%S}.dump.gz"
    moment = int(taken.timestamp())
    plain = made(os.path.join(tree, path), b"%8d " % number * 20, moment)
    sealed = made(os.path.join(copy, path + ".age"), b"sealed %d " % number * 20, moment)
    link = made(os.path.join(copy, path + ".link"), b"link %d " % number * 50, moment)
    items.append(ledger_items.LedgerItem(
        path, moment * 10**9, Content(*plain, *sealed), {}, link, number, fingerprint,
        ledger_items.SENT, plain, chain, signer,
    ))
    if len(items) == 1000 or number == count:
        written.add(items)
        items.clear()
written.add_link(Position(chain, count, "0" * 64))
"""


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
        self.recipient = made.partition(": ")[2].strip()
        seal = {"recipients": [self.recipient], "untested": True}
        config_dir = lab.root / "etc"
        config_dir.mkdir()
        values = {**json.loads(self.plain.read_text()), "seal": seal, "config_dir": str(config_dir)}
        self.sealed.write_text(json.dumps(values))
        self.keys = str(config_dir / "sealing")
        subprocess.run(
            [PYTHON, "-c", MAKE_KEYS, self.keys, json.dumps(seal)], check=True, env=lab.environment
        )

    def sync(self, *, sealed: bool) -> int:
        """Run the command as cron does; return how many backups were sent."""
        self.lab.config = self.sealed if sealed else self.plain
        return int(self.lab.command("sync-backups-offsite")["files_sent"])

    def fill(self, count: int) -> None:
        """Make so many small backups, and a copy of them that looks sealed.

        To seal them, each by age and ssh-keygen, would take hours.
        """
        state = self.lab.root / "state"
        state.mkdir(exist_ok=True)
        ledger = state / "offsite-sealed.jsonl"
        line = [PYTHON, "-c", FILL, str(self.lab.tree), str(self.lab.copy), str(ledger), self.keys]
        subprocess.run([*line, str(count), self.recipient], check=True, env=self.lab.environment)
