# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PostgreSQL server keeps of a random password (RFC 5802, RFC 7677)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

# PostgreSQL's default of 4,096 makes weak passwords harder to guess, and costs each connection 2 to
# 4 ms of the client's processor time. Nobody guesses a random password of 192 bits.
ITERATIONS = 1


def secret(password: str) -> str:
    """Return what PostgreSQL takes in place of the password, when a role is made with it.

    Args:
        password: random, of at least 128 bits, in ASCII.
    """
    salt = secrets.token_bytes(16)
    # The only round of PBKDF2, whose function of OpenSSL refuses so few under FIPS.
    salted = _hmac(password.encode("ascii"), salt + (1).to_bytes(4, "big"))
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${ITERATIONS}:{_text(salt)}${_text(stored)}:{_text(server)}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, "sha256").digest()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
