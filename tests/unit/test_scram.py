"""A random password is kept by a server in the form of RFC 5802, made in one round."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from ansible_collections.chefwell.resilience.plugins.module_utils.database import scram


def test_a_server_can_check_the_password_by_it() -> None:
    found = re.fullmatch(r"SCRAM-SHA-256\$1:(\S+)\$(\S+):(\S+)", scram.secret("random"))
    assert found
    salt, stored, server = map(base64.b64decode, found.groups())
    salted = hashlib.pbkdf2_hmac("sha256", b"random", salt, 1)
    client = hmac.new(salted, b"Client Key", "sha256").digest()
    assert len(salt) == 16
    assert stored == hashlib.sha256(client).digest()
    assert server == hmac.new(salted, b"Server Key", "sha256").digest()


def test_two_passwords_have_nothing_in_common() -> None:
    assert scram.secret("random") != scram.secret("random")
    assert "random" not in scram.secret("random")
