"""Whether tests prove at length: `make faults` does, `make test` has a short form of each."""

from __future__ import annotations

import os


def rounds(short: int, long: int) -> int:
    """How many rounds a proof takes now."""
    return long if os.environ.get("THOROUGH") else short
