# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of a backup server: each has a configuration and a folder of its own.

No client takes another one's place: neither its name nor its folder, nor a folder above or below
that, which a reading key would open.
"""

from __future__ import annotations

import os

from ..common import settings
from ..common.errors import ResilienceError


def require_free(folder: str, name: str, root: str) -> None:
    """Check that no other client has a name or a folder.

    Args:
        folder: of the clients' configurations.
        name: of the client.
        root: the folder of its copy.

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
                f"the server has the copy of another client, {other}, in {held}",
                option="path",
                value=root,
                remedy="give each client a folder of its own, none within another one's",
            )
