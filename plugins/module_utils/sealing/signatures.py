# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures by `ssh-keygen -Y`, in a namespace of this collection's own.

A signature that the same key made for another purpose (a commit, a mail) is none here.
"""

from __future__ import annotations

import base64
import os
import tempfile

from ..common import process
from ..common.errors import ResilienceError
from ..common.messages import _
from ..common.system_errors import reason

NAMESPACE = "backup-link@chefwell.resilience"
SIGNER = "resilience"
_SECONDS = 60
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
_LINE = 70  # of the armor


def new_key(path: str) -> None:
    """Make a key pair without a passphrase: a cron job signs with it.

    Raises:
        ResilienceError: ssh-keygen is missing or failed.
    """
    done = process.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAMESPACE, "-f", path],
        time_limit=_SECONDS,
    )
    if done.code != 0:
        raise _failure(done.errors, path)


def public_key(path: str) -> str:
    """Return the public key of a key pair, type and key only.

    Raises:
        ResilienceError: it cannot be read.
    """
    try:
        with open(f"{path}.pub", encoding="utf-8") as file:
            text = file.read().strip()
    except OSError as error:
        raise ResilienceError(
            _("the key that signs cannot be read: %(why)s", why=reason(error)),
            option="seal",
            value=f"{path}.pub",
            remedy=_("run the playbook, which makes it"),
        ) from error
    return " ".join(text.split(" ")[:2])


def sign(text: bytes, key_file: str) -> str:
    """Return the armored signature of a text.

    Raises:
        ResilienceError: ssh-keygen is missing, or the key cannot be used.
    """
    done = process.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-f", key_file, "-n", NAMESPACE],
        time_limit=_SECONDS,
        input=text,
    )
    if done.code != 0 or not _is_one_block(done.output):
        raise _failure(done.errors, key_file)
    return done.output


def is_signed_by(text: bytes, signature: str, public_keys: list[str]) -> bool:
    """Return whether a signature of a text is by one of these keys, in this namespace.

    It counts as `sign` returns it, to the byte: nothing is before, within or behind its one block.

    Raises:
        ResilienceError: ssh-keygen is missing.
    """
    if not _is_one_block(signature):
        return False
    with tempfile.TemporaryDirectory(prefix="chefwell-signature-") as folder:
        signers, armored = os.path.join(folder, "signers"), os.path.join(folder, "signature")
        with open(signers, "w", encoding="ascii") as file:
            for key in public_keys:
                kind, body = key.split(" ")[:2]
                file.write(f'{SIGNER} namespaces="{NAMESPACE}" {kind} {body}\n')
        with open(armored, "w", encoding="ascii") as file:
            file.write(signature)
        command = ["ssh-keygen", "-q", "-Y", "verify", "-f", signers, "-I", SIGNER]
        done = process.run(
            [*command, "-n", NAMESPACE, "-s", armored], time_limit=_SECONDS, input=text
        )
    return done.code == 0


def _is_one_block(signature: str) -> bool:
    """Return whether a text is one armored signature in the one form that ssh-keygen writes.

    ssh-keygen itself ignores what follows the block, and how its lines are broken.
    """
    if not (signature.startswith(_BEGIN) and signature.endswith(_END)):
        return False
    lines = signature[len(_BEGIN) : -len(_END)]
    try:
        body = base64.b64decode(lines.replace("\n", ""), validate=True)
    except ValueError:
        return False
    encoded = base64.b64encode(body).decode("ascii")
    return lines == "".join(
        f"{encoded[start : start + _LINE]}\n" for start in range(0, len(encoded), _LINE)
    )


def _failure(errors: str, path: str) -> ResilienceError:
    last = (errors.strip().splitlines() or ["?"])[-1]
    return ResilienceError(
        _("%(program)s failed: %(why)s", program="ssh-keygen", why=last),
        option="seal",
        value=path,
        remedy=_("run the playbook, which makes the key"),
    )
