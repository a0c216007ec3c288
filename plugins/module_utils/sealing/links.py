# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed link of one sealed backup: what it is, and which link came before it.

The file is text: one line of JSON, which is what is signed, and the armored signature. Who has the
public key can read and verify it without this collection.

The digests of the plain files are encrypted in it: a server that saw them could verify a guess at
the content of a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..common import json_text
from ..common.errors import BackupError
from ..common.messages import _
from . import age, signatures
from .positions import Position

# Of what is signed. 1 is as 2, but was also written in a form that showed the digests of the plain
# files and is not read any more.
VERSION, READABLE = 2, (1, 2)
# A link of a tree with more backups names none of them: it would be larger than small backups are.
MOST_PRESENT = 1000
# Nothing that is larger is read as a link.
MOST_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Content:
    """SHA-256 and size of a file, plain and sealed.

    The digest of the plain file is empty in a link that was not opened.
    """

    sha256: str
    bytes: int
    sealed_sha256: str
    sealed_bytes: int

    @classmethod
    def from_list(cls, values: Any) -> Content:
        """Return the content of which `to_list` returned these values."""
        plain, size, sealed, sealed_size = values
        return cls(str(plain), int(size), str(sealed), int(sealed_size))

    def to_list(self) -> list[Any]:
        """Return plain values."""
        return [self.sha256, self.bytes, self.sealed_sha256, self.sealed_bytes]

    def to_public_list(self) -> list[Any]:
        """Return plain values of what the server may see."""
        return [self.bytes, self.sealed_sha256, self.sealed_bytes]


@dataclasses.dataclass(frozen=True)
class Link:
    """What is signed about one sealed backup.

    Attributes:
        name: path of the backup in the tree.
        chain: name of the chain, `<time of its beginning>-<random>`.
        number: of the link in its chain, from 1.
        time: when the backup was sealed, ISO 8601.
        taken_at: when production was dumped, by the manifest or the name; empty if not known.
        written_at: when the dump was complete, by its time of change.
        content: of the backup.
        beside: content of each file that was sealed with it, by its ending.
        hidden: the digests of the plain files, encrypted by age and armored.
        previous: digest of what was signed in the link before; empty for the first.
        present: numbers of the links of all backups that the tree held, by path; None where there
            are too many.
        version: of the form in which it is signed.
    """

    name: str
    chain: str
    number: int
    time: str
    taken_at: str
    content: Content
    beside: Mapping[str, Content] = dataclasses.field(default_factory=dict)
    written_at: str = ""
    hidden: str = ""
    previous: str = ""
    present: Mapping[str, int] | None = None
    version: int = VERSION

    def signed_text(self) -> bytes:
        """Return what is signed."""
        values = {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "content": self.content.to_public_list(),
            "beside": {ending: one.to_public_list() for ending, one in self.beside.items()},
            "present": None if self.present is None else dict(self.present),
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"

    @property
    def position(self) -> Position:
        """Where the link stands."""
        digest = hashlib.sha256(self.signed_text()).hexdigest()
        return Position(self.chain, self.number, digest)

    def file_content(self, key_file: str) -> bytes:
        """Return the link's file, signed.

        Raises:
            ResilienceError: it cannot be signed.
        """
        text = self.signed_text()
        return text + signatures.sign(text, key_file).encode("ascii")


def hidden_digests(content: Content, beside: Mapping[str, Content], recipients_file: str) -> str:
    """Return the digests of the plain files, encrypted for recipients: `Link.hidden`.

    Raises:
        ResilienceError: age is missing or failed.
    """
    digests = {"": content.sha256, **{ending: one.sha256 for ending, one in beside.items()}}
    return age.seal_text(json.dumps(digests, sort_keys=True).encode("ascii"), recipients_file)


def opened(link: Link, identity_files: Sequence[str]) -> Link:
    """Return a link with the digests of the plain files, which it holds encrypted.

    Raises:
        WrongIdentity: it was made for other keys.
        BackupError: what it holds cannot be used.
        ResilienceError: age is missing, or an identity cannot be used.
    """
    text = age.open_text(link.hidden, link.name, identity_files)
    try:
        digests = {str(end): str(one) for end, one in json_text.loads(text).items()}
        return dataclasses.replace(
            link,
            content=dataclasses.replace(link.content, sha256=digests[""]),
            beside={
                ending: dataclasses.replace(one, sha256=digests[ending])
                for ending, one in link.beside.items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BackupError(
            _("its signed link holds no digests"), option="backup", value=link.name
        ) from error


class NoLink(Exception):
    """The file is no link, or not signed by a known key; `why`, translatable, says which."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


class OtherVersion(NoLink):
    """A known key signed the link, in a form that this version of the collection does not know."""


def verified(body: bytes, public_keys: list[str]) -> Link:
    """Return the link of a file, if one of these keys signed it.

    Raises:
        NoLink: it is none, or none of these keys signed it.
        OtherVersion: one of them signed it in a form that is not known.
        ResilienceError: ssh-keygen is missing.
    """
    text, newline, signature = body.partition(b"\n")
    if not newline or len(body) > MOST_BYTES:
        raise NoLink(_("it is not whole"))
    text += newline
    # Nothing of a text that nobody signed is looked at.
    armored = signature.decode("ascii", "replace")
    if not public_keys or not signatures.is_signed_by(text, armored, public_keys):
        raise NoLink(_("no trusted key signed it"))
    try:
        return _parsed(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoLink(_("its content cannot be used")) from error


def _parsed(text: bytes) -> Link:
    values = json_text.loads(text)
    version = values["version"]
    first_form = version == 1 and "hidden" not in values
    # JSON's true and 1.0 equal 1.
    whole = isinstance(version, int) and not isinstance(version, bool)
    if not whole or version not in READABLE or first_form:
        raise OtherVersion(
            _(
                "it has version %(found)s, known is %(known)d; open it with the collection that "
                "wrote it, or let the host seal its copies anew",
                found=str(version)[:20],
                known=VERSION,
            )
        )
    present = values["present"]
    link = Link(
        name=str(values["name"]),
        chain=str(values["chain"]),
        number=int(values["number"]),
        time=str(values["time"]),
        taken_at=str(values["taken_at"]),
        content=Content.from_list(["", *values["content"]]),
        beside={str(end): Content.from_list(["", *one]) for end, one in values["beside"].items()},
        written_at=str(values["written_at"]),
        hidden=str(values["hidden"]),
        previous=str(values["previous"]),
        present=None
        if present is None
        else {str(path): int(number) for path, number in present.items()},
        version=version,
    )
    if link.signed_text() != text:
        raise ValueError("not in its own form")
    return link
