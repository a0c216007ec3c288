# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of sealing on this host, and the proof that the owner's offline key works.

In one folder, mode 0700: `identity` (opens copies), `signing` (signs links), `recipients` (for whom
copies are sealed), `proof.json` and `chain` (the newest one that began). A key that was replaced
stays as `identity.NAME` or `signing.NAME.pub`, and still opens or verifies what is older.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import hmac
import os
import secrets
import stat
from typing import Any

from ..common import json_text
from ..common.errors import ResilienceError
from ..common.files import replace_file, replace_json
from ..common.messages import _
from ..common.system_errors import reason
from . import age, signatures
from .seal_settings import OPTION, SealSettings

IDENTITY, SIGNING, RECIPIENTS, PROOF = "identity", "signing", "recipients", "proof.json"
CHAIN = "chain"
# How the owner's key was proved.
OPENED, DECLARED = "opened", "declared"
_CHAIN_TIME = "%Y%m%dT%H%M%SZ"


@dataclasses.dataclass(frozen=True)
class SealKeys:
    """The keys of this host.

    Attributes:
        folder: where they lie.
        recipients: for whom copies are sealed, the host's own first.
        signers: public keys that may have signed links.
        identity_files: identities that open copies.
    """

    folder: str
    recipients: tuple[str, ...]
    signers: tuple[str, ...]
    identity_files: tuple[str, ...]

    @property
    def recipients_file(self) -> str:
        """The file of the recipients, one a line."""
        return os.path.join(self.folder, RECIPIENTS)

    @property
    def signing_key(self) -> str:
        """The private key that signs."""
        return os.path.join(self.folder, SIGNING)

    @property
    def fingerprint(self) -> str:
        """Names the recipients: what was sealed for others is sealed anew."""
        return hashlib.sha256("\n".join(sorted(self.recipients)).encode()).hexdigest()[:16]

    @property
    def signer(self) -> str:
        """Names the key that signs."""
        return signer_of(signatures.public_key(self.signing_key))

    def trusts(self, signer: str) -> bool:
        """Return whether what a key signed still counts; empty for one that is not known."""
        return not signer or signer in map(signer_of, self.signers)

    def new_chain(self) -> str:
        """Return the name of a new chain, which comes after all that began with these keys.

        It begins with the time, or with a second after the last chain's if the clock has gone back.

        Raises:
            OSError: it cannot be written down.
        """
        path = os.path.join(self.folder, CHAIN)
        moment = datetime.datetime.now(datetime.timezone.utc)
        with contextlib.suppress(ValueError):
            last = datetime.datetime.strptime(_text(path).partition("-")[0], _CHAIN_TIME)
            second = datetime.timedelta(seconds=1)
            moment = max(moment, last.replace(tzinfo=datetime.timezone.utc) + second)
        name = f"{moment.strftime(_CHAIN_TIME)}-{secrets.token_hex(4)}"
        replace_file(path, f"{name}\n")
        return name


def signer_of(public_key: str) -> str:
    """Return what names a public key in the ledger."""
    return hashlib.sha256(public_key.encode()).hexdigest()[:16]


def folder_of(config_dir: str) -> str:
    """Return the folder of the keys."""
    return os.path.join(config_dir, "sealing")


def set_up(folder: str, settings: SealSettings) -> bool:
    """Make what is missing of the keys, and test files for recipients that are new.

    Returns:
        Whether anything was made or changed.

    Raises:
        ResilienceError: age or ssh-keygen is missing, or a key cannot be used.
        OSError: the folder cannot be written to.
    """
    changed = False
    known = _proofs(folder)
    for one in settings.recipients:
        if one not in known:
            age.require_recipient(one, f"{OPTION}.recipients")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.chmod(folder, 0o700)
    identity, signing = os.path.join(folder, IDENTITY), os.path.join(folder, SIGNING)
    if not os.path.exists(identity):
        secret, public = age.new_identity()
        replace_file(identity, f"# public key: {public}\n{secret}\n")
        changed = True
    if not os.path.exists(signing):
        signatures.new_key(signing)
        changed = True
    own = age.recipient_of(identity)
    lines = "".join(f"{one}\n" for one in (own, *settings.recipients))
    path = os.path.join(folder, RECIPIENTS)
    if _text(path) != lines:
        replace_file(path, lines)
        changed = True
    return _make_tests(folder, settings) or changed


def _make_tests(folder: str, settings: SealSettings) -> bool:
    """Make a test file for each of the owner's recipients that has none."""
    proofs = _proofs(folder)
    kept = {one: proofs[one] for one in settings.recipients if one in proofs}
    for one in settings.recipients:
        if one not in kept:
            word = secrets.token_hex(12)
            path = os.path.join(folder, ".test-recipient")
            replace_file(path, f"{one}\n")
            try:
                test = age.seal_text(f"{word}\n".encode(), path)
            finally:
                os.unlink(path)
            kept[one] = {"word_sha256": _digest(word), "test": test, "proved": "", "time": ""}
    changed = kept != proofs
    for proof in kept.values():
        how = OPENED if _is_opened(proof, settings) else ""
        how = how or (DECLARED if settings.untested else "")
        if how and not proof["proved"]:
            moment = datetime.datetime.now().astimezone()
            proof.update(proved=how, time=moment.isoformat(timespec="seconds"))
            changed = True
    if changed:
        replace_json(os.path.join(folder, PROOF), kept)
    return changed


def load(folder: str, settings: SealSettings) -> SealKeys:
    """Return the keys for sealing.

    Raises:
        ResilienceError: a key is missing, may be read by others, or the owner's key is not proved.
    """
    keys = load_for_opening(folder, settings)
    expected = (keys.recipients[1:] if keys.recipients else ()) or None
    if expected != settings.recipients:
        raise ResilienceError(
            _("the keys of sealing are not set up for these recipients"),
            option=f"{OPTION}.recipients",
            value=folder,
            remedy=_("run the playbook, which sets them up"),
        )
    _require_private(os.path.join(folder, SIGNING))
    require_proof(folder, settings)
    return keys


def load_for_opening(folder: str, settings: SealSettings) -> SealKeys:
    """Return what opens and verifies copies: this host's keys, and those that were given.

    Raises:
        ResilienceError: an identity may be read by others, or was given and is not there.
    """
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    own = [os.path.join(folder, name) for name in names if _is_of(name, IDENTITY)]
    files = (*own, *settings.identity_files)
    for path in files:
        _require_private(path)
    public = [
        signatures.public_key(os.path.join(folder, name[: -len(".pub")]))
        for name in names
        if _is_of(name, SIGNING) and name.endswith(".pub")
    ]
    given = [" ".join(one.split(" ")[:2]) for one in settings.signers]
    recipients = tuple(_text(os.path.join(folder, RECIPIENTS)).split("\n")[:-1])
    return SealKeys(folder, recipients, tuple(dict.fromkeys([*public, *given])), files)


def require_proof(folder: str, settings: SealSettings) -> None:
    """Require that each of the owner's keys is proved to open what is sealed for it.

    Raises:
        ResilienceError: one is not; the text holds the test file.
    """
    proofs = _proofs(folder)
    for one in settings.recipients:
        proof = proofs.get(one, {})
        if not proof.get("proved"):
            raise ResilienceError(
                _("nobody has opened the test file with the offline key yet"),
                option=f"{OPTION}.recipients",
                value=one,
                remedy=_(
                    "where the offline key is, save the lines below as test.age, run "
                    "`age -d -i KEYFILE test.age`, and give the word that it prints as "
                    "seal.opened; or declare with seal.untested that the key works\n%(test)s",
                    test=proof.get("test", ""),
                ),
            )


def status(folder: str, settings: SealSettings) -> dict[str, Any]:
    """Return the public side of the keys as plain values: nothing of it is secret."""
    keys = load_for_opening(folder, settings)
    proofs = _proofs(folder)
    return {
        "recipients": list(keys.recipients),
        "signers": list(keys.signers),
        "fingerprint": keys.fingerprint,
        "proofs": [
            {
                "recipient": one,
                "proved": proofs.get(one, {}).get("proved", ""),
                "time": proofs.get(one, {}).get("time", ""),
                "test": proofs.get(one, {}).get("test", ""),
            }
            for one in settings.recipients
        ],
    }


def _is_of(name: str, kind: str) -> bool:
    return name == kind or name.startswith(f"{kind}.")


def _is_opened(proof: dict[str, str], settings: SealSettings) -> bool:
    """Return whether the owner's key opened the test file: by its word, or on this host just now.

    After a recovery the offline key lies on the new host, and is the proof itself.
    """
    if settings.opened and _is_word(proof, settings.opened):
        return True
    if not settings.identity_files or proof["proved"]:
        return False
    with contextlib.suppress(ResilienceError):
        word = age.open_text(proof["test"], PROOF, settings.identity_files)
        return _is_word(proof, word.decode("utf-8", "replace"))
    return False


def _is_word(proof: dict[str, str], word: str) -> bool:
    return hmac.compare_digest(proof["word_sha256"], _digest(word.strip()))


def _digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _proofs(folder: str) -> dict[str, dict[str, str]]:
    try:
        values = json_text.loads(_text(os.path.join(folder, PROOF)) or "{}")
        return {
            str(one): {key: str(proof[key]) for key in ("word_sha256", "test", "proved", "time")}
            for one, proof in values.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # new test files are made, and the owner opens one again


def _require_private(path: str) -> None:
    """Require that a secret key is there and only its owner may read it.

    Raises:
        ResilienceError: it is not.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ResilienceError(
            _("a secret key cannot be read: %(why)s", why=reason(error)),
            option=OPTION,
            value=path,
            remedy=_("run the playbook, which makes the host's own keys, or name the right file"),
        ) from error
    if not stat.S_ISREG(mode):
        raise ResilienceError(
            _("a secret key is no file"), option=OPTION, value=path, remedy=_("name its file")
        )
    if mode & 0o077:
        raise ResilienceError(
            _("a secret key may be read by others"),
            option=OPTION,
            value=path,
            remedy=_("chmod 600 the file"),
        )
