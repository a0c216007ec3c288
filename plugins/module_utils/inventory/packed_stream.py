# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many small files in one stream. Client and server share its form.

Each file is a header, `file BYTES MTIME_NS MODE PATH` and a NUL byte, and then its content. After
the last file follows `end` and a NUL byte. When the server has them all, it writes `RECEIVED`.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

# What a request for a commit begins with where files follow, and what a gate lists that takes them.
WORD = "packed"
END = b"end"
# What the server writes when it has all files: white space, for JSON follows in the same output.
RECEIVED = b"\t"
# A larger file gains nothing by it: rsync sends it, and can go on where it was interrupted.
MOST_BYTES = 1 << 16
MOST_HEADER = 1 << 13
_HEADER = re.compile(rb"file (\d{1,9}) (-?\d{1,19}) ([0-7]{1,4}) (.+)", re.DOTALL)


class Header(NamedTuple):
    """Header of one file: its path, size, time of change and permissions."""

    path: str
    bytes: int
    mtime_ns: int
    mode: int


def packed(header: Header) -> bytes:
    """Return a header as it is sent."""
    fields = f"file {header.bytes} {header.mtime_ns} {header.mode & 0o777:o} ".encode("ascii")
    return fields + os.fsencode(header.path) + b"\0"


def header_of(record: bytes) -> Header:
    """Return the header of a record, its NUL byte removed.

    Raises:
        ValueError: it is none, or the file is larger than one of a stream may be.
    """
    found = _HEADER.fullmatch(record)
    if found is None or int(found[1]) > MOST_BYTES or abs(int(found[2])) >= 1 << 63:
        raise ValueError(record[:100])
    return Header(os.fsdecode(found[4]), int(found[1]), int(found[2]), int(found[3], 8) & 0o777)
