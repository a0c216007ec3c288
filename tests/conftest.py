"""Puts the collection on the import path under its full name, as Ansible does.

The checkout may lie anywhere, so a link `build/collections/ansible_collections/chefwell/resilience`
points at it. The engine imports from there without Ansible being involved.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = ROOT / "build" / "collections" / "ansible_collections" / "chefwell" / "resilience"


def _link() -> None:
    LINK.parent.mkdir(parents=True, exist_ok=True)
    if not LINK.is_symlink():
        LINK.symlink_to(ROOT)


_link()
sys.path.insert(0, str(ROOT / "build" / "collections"))
# The testbed, and what the tests share.
for folder in ("tests", "tests/integration"):
    sys.path.insert(0, str(ROOT / folder))

# A runner that was started in the background ignores Ctrl-C, and whatever it starts inherits that;
# tests send the signal to others and to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)
