# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys that seal offsite copies, on the host: `seal-keys`."""

from __future__ import annotations

import argparse
import json

from ..common.language import translations
from ..offsite.offsite_config import OffsiteSettings
from ..sealing import age, keys
from .command import EXIT_CRITICAL, EXIT_OK, Command, print_result


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--new-offline-key",
        action="store_true",
        help="print a new secret key and its public key, once; nothing is stored",
    )


def _run(settings: OffsiteSettings, arguments: argparse.Namespace) -> int:
    if arguments.new_offline_key:
        secret, public = age.new_identity()
        if arguments.json:
            print_result(json.dumps({"secret_key": secret, "public_key": public}))
        else:
            print_result(f"# public key: {public}\n{secret}")
        return EXIT_OK
    found = keys.status(keys.folder_of(settings.config_dir), settings.seal)
    proved = all(proof["proved"] for proof in found["proofs"])
    if arguments.json:
        print_result(json.dumps(found))
    else:
        print_result("\n".join(_page(settings, found)))
    return EXIT_OK if proved else EXIT_CRITICAL


def _page(settings: OffsiteSettings, found: dict[str, list[dict[str, str]]]) -> list[str]:
    tr = translations(settings.language).gettext
    lines = [tr("Copies are sealed for:")]
    lines += [f"   {one}" for one in found["recipients"]]
    lines.append(tr("They are signed by:"))
    lines += [f"   {one}" for one in found["signers"]]
    for proof in found["proofs"]:
        if proof["proved"] == keys.OPENED:
            lines.append(tr("✅ A test file was opened with the key of %(recipient)s") % proof)
        elif proof["proved"]:
            lines.append(tr("⚠️ The owner declares that the key of %(recipient)s works") % proof)
        else:
            lines.append(tr("❌ No test file was opened with the key of %(recipient)s:") % proof)
            lines.append(proof["test"])
    return lines


COMMANDS = {
    "seal-keys": Command(
        "show for whom offsite copies are sealed, and who signs them",
        OffsiteSettings,
        _run,
        _arguments,
    ),
}
