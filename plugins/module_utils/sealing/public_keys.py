# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a public key of age, or of SSH, looks like."""

from __future__ import annotations

import base64
import re

# X25519 in Bech32, or a public key of SSH.
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/]+={0,2}( .*)?")
_PUBLIC_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa) [A-Za-z0-9+/]+={0,2}( .*)?")


def is_recipient(text: str) -> bool:
    """Return whether a text looks like a public key that age accepts, in one line."""
    return bool(_RECIPIENT.fullmatch(text)) and text.isprintable()


def is_public_key(text: str) -> bool:
    """Return whether a text is a public key of SSH."""
    if not _PUBLIC_KEY.fullmatch(text):
        return False
    kind, encoded = text.split(" ")[:2]
    try:
        body = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    size = int.from_bytes(body[:4], "big")
    return body[4 : 4 + size] == kind.encode("ascii")
