"""Whether tests prove at length: `make faults` does, `make test` has a short form of each."""

from __future__ import annotations

import os
from typing import TypeVar

Form = TypeVar("Form")


def rounds(short: Form, long: Form) -> Form:
    """How many rounds a proof takes now, or over what."""
    return long if os.environ.get("THOROUGH") else short
