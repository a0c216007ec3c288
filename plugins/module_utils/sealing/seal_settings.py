# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of sealing: for whom offsite copies are encrypted, and who may have signed them."""

from __future__ import annotations

import dataclasses

from ..common.errors import ResilienceError
from . import public_keys
from .positions import Position

OPTION = "seal"


@dataclasses.dataclass(frozen=True)
class SealSettings:
    """How copies are sealed.

    Attributes:
        recipients: public keys of the owner, kept away from this host; copies are sealed where
            there is one.
        opened: the word of the test file, once the owner opened it with the offline key.
        untested: the owner declares that the offline key works, without the test.
        at_rest: whether `backup-manifest` seals the backups that it makes on this host, too.
        identity_files: identities that open copies on this host, beside the host's own.
        signers: public keys that may have signed links, beside the host's own.
        last_link: the last link that was sent, as a notification or the runbook shows it.
    """

    recipients: tuple[str, ...] = ()
    opened: str = ""
    untested: bool = False
    at_rest: bool = False
    identity_files: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    last_link: str = ""

    def __post_init__(self) -> None:
        for one in self.recipients:
            if not public_keys.is_recipient(one):
                shown = "(not shown: it is a secret key)" if "SECRET" in one.upper() else one
                raise ResilienceError(
                    "this is no public key of age or SSH",
                    option=f"{OPTION}.recipients",
                    value=shown,
                    remedy="give the public key, age1..., that age-keygen prints, or ssh-ed25519 "
                    "...; the secret key stays away from this host",
                )
        if self.at_rest and not self.recipients:
            raise ResilienceError(
                "backups on this host cannot be sealed without a public key of the owner",
                option=f"{OPTION}.at_rest",
                value="true",
                remedy=f"name one in {OPTION}.recipients, or set it to false",
            )
        for one in self.signers:
            if not public_keys.is_public_key(one):
                raise ResilienceError(
                    "this is no public key of SSH",
                    option=f"{OPTION}.signers",
                    value=one,
                    remedy="give the line that the play printed, ssh-ed25519 ...",
                )
        if self.last_link:
            try:
                Position.from_text(self.last_link)
            except ValueError as error:
                raise ResilienceError(
                    "this is no position of a link",
                    option=f"{OPTION}.last_link",
                    value=self.last_link,
                    remedy="copy it from the last notification: CHAIN/NUMBER/SHA-256",
                ) from error

    @property
    def is_on(self) -> bool:
        """Whether copies are sealed."""
        return bool(self.recipients)

    @property
    def opens(self) -> bool:
        """Whether backups are fetched sealed: what is not sealed is then no backup."""
        return bool(self.recipients or self.identity_files)

    @property
    def known_link(self) -> Position | None:
        """The last link that is known from elsewhere."""
        return Position.from_text(self.last_link) if self.last_link else None
