# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clients a backup server serves: each has a configuration and a folder of its own.

Asked before a client's configuration is written, so that no host takes another one's place: neither
its name nor its folder, nor one above or below that, which a reading key would open.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from collections.abc import Sequence

from ..common import settings
from ..common.errors import ResilienceError


def claim(folder: str, name: str, root: str) -> None:
    """Makes sure that a client may have a name and a folder.

    Args:
        folder: of the clients' configurations.
        name: of the client.
        root: the folder that its copy is to lie in.

    Raises:
        ResilienceError: another client has either.
    """
    own = os.path.realpath(root)
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        other, ending = os.path.splitext(file)
        if ending != ".json":
            continue
        held = os.path.realpath(str(settings.read(os.path.join(folder, file)).get("root", "")))
        if other == name and held != own:
            raise ResilienceError(
                f"the server has another client of this name, whose copy lies in {held}",
                option="client",
                value=name,
                remedy=f"give another name, or remove {os.path.join(folder, file)} if it was this "
                "client's earlier folder",
            )
        if other != name and os.path.commonpath([held, own]) in (held, own):
            raise ResilienceError(
                f"the server keeps the copy of another client, {other}, in {held}",
                option="path",
                value=root,
                remedy="give each client a folder of its own, none within another one's",
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """`FOLDER NAME ROOT ACCOUNT`: 0 when the client may have both, and the account's group on
    standard output; 1 with a sentence when not."""
    folder, name, root, account = sys.argv[1:] if arguments is None else arguments
    try:
        claim(folder, name, root)
        group = grp.getgrgid(pwd.getpwnam(account).pw_gid).gr_name
    except KeyError:
        sys.stderr.write(f"the server has no account {account} [user]\n")
        return 1
    except (ResilienceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(group)
    return 0
