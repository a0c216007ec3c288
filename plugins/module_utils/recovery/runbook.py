# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disaster recovery runbook of one host: its commands, paths, people and measured times.

What was measured is between two marks. Where only that differs, the runbook has not changed in the
sense of Ansible: times differ after every drill.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Mapping
from typing import Any

from ..backup import kinds
from ..common import quantity
from ..common.errors import ResilienceError
from ..common.files import replace_file
from ..common.language import translations
from ..common.mask import mask
from ..common.safe_text import clean_all
from ..common.system_errors import reason
from ..offsite import offsite_fetch
from ..offsite.transport_sealed import SealedTransport
from ..pages import render_drill, render_titles
from ..proof import restore_settings
from ..proof.restore_settings import RestoreSettings
from ..sealing import keys
from . import by_hand, recovery

TEMPLATE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runbook.md.j2")
MEASURED = re.compile(r"<!-- measured -->.*?<!-- /measured -->", re.DOTALL)
PERSON = ("name", "role", "phone", "email")


def write(
    settings: RestoreSettings,
    target: restore_settings.RecoveryServer,
    drill: Mapping[str, Any] | None,
) -> bool:
    """Write the runbook, whole or not at all.

    Args:
        settings: the stage's configuration.
        target: the production server.
        drill: the newest drill's result; None before one.

    Returns:
        Whether anything but what was measured is new.

    Raises:
        ResilienceError: Jinja2 is missing, a person has no name, or it cannot be written.
    """
    text = render(settings, target, drill)
    path = settings.runbook
    try:
        with open(path, encoding="utf-8") as file:
            before = file.read()
    except (OSError, ValueError):
        before = ""
    if text == before:
        return False
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        replace_file(path, mask(text))  # closed to others: it names people
    except OSError as error:
        raise ResilienceError(
            f"the runbook cannot be written: {reason(error)}",
            option="runbook",
            value=path,
            remedy="name a file in a folder that may be written to, and make room there",
        ) from error
    return MEASURED.sub("", text) != MEASURED.sub("", before)


def render(
    settings: RestoreSettings,
    target: restore_settings.RecoveryServer,
    drill: Mapping[str, Any] | None,
) -> str:
    """Return the runbook as Markdown; arguments as those of `write`."""
    try:
        import jinja2  # hosts run all else without it
    except ImportError as error:
        raise ResilienceError(
            "the runbook needs Jinja2",
            option="runbook",
            value=settings.runbook,
            remedy="install python3-jinja2, or set staging_restore_runbook to an empty string",
        ) from error
    language = translations(settings.language)
    environment = jinja2.Environment(
        # The page is Markdown; what could break out of it is taken away by `clean_all`.
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.install_gettext_translations(language, newstyle=True)  # type: ignore[attr-defined]
    with open(TEMPLATE, encoding="utf-8") as file:
        template = environment.from_string(file.read())
    return template.render(clean_all(_content(settings, target, drill, language)))


def _content(
    settings: RestoreSettings,
    target: restore_settings.RecoveryServer,
    drill: Mapping[str, Any] | None,
    language: gettext.NullTranslations,
) -> dict[str, Any]:
    drill = drill or {}
    kind = kinds.of_label(str((drill.get("backup") or {}).get("format", "")))
    return {
        "host": recovery.host_name(),
        "rto": _compared(language, drill.get("rto_seconds"), settings.rto_seconds),
        "rpo": _compared(language, drill.get("rpo_seconds"), settings.rpo_seconds),
        "drill": _drill(language, drill) if drill else None,
        "recovery": bool(target.host),
        "target": {
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "dbname": target.dbname,
            "health_url": target.health_url,
        },
        "tenant": settings.featured_tenant or f"{settings.tenants.prefix}x",
        "offsite": _offsite(settings, (drill.get("backup") or {}).get("file")),
        "in_parts": kind is None or kind.in_parts,
        "bin_dir": target.bin_dir,
        "by_hand": _by_hand(settings, target),
        "contacts": [_person(person) for person in settings.contacts],
        "backups": settings.backup_path,
        "tree": settings.tree_root,
        "tier": settings.tiers[0],
        "scripts": settings.scripts_dir,
        "engine": restore_settings.engine(settings),
        "work_dir": settings.work_dir,
        "log": settings.log_file,
    }


def _compared(
    language: gettext.NullTranslations, measured: float | None, objective: float
) -> dict[str, str]:
    sign = "❓" if measured is None else "✅" if measured <= objective else "❌"
    return {
        "measured": quantity.duration(language, measured),
        "objective": "< " + quantity.duration(language, objective),
        "sign": sign,
    }


def _drill(language: gettext.NullTranslations, drill: Mapping[str, Any]) -> dict[str, Any]:
    tr = language.gettext
    verdicts = {
        "passed": tr("passed"),
        "failed": tr("failed"),
        "could_not_verify": tr("could not verify"),
    }
    backup = drill.get("backup") or {}
    return {
        "time": render_drill.moment(drill["time"]),
        "verdict": verdicts.get(drill["verdict"], drill["verdict"]),
        "file": backup.get("file", "?"),
        "size": quantity.size(backup.get("bytes")),
        "phases": [
            {
                "title": render_titles.phase_title(language, phase["name"]),
                # A phase that took less than is kept took some time all the same.
                "took": quantity.duration(language, phase["seconds"] or 0.001),
            }
            for phase in drill["phases"]
        ],
    }


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(person) - set(PERSON))
    if unknown or not person.get("name"):
        raise ResilienceError(
            f"a contact has an unknown key {unknown[0]!r}" if unknown else "a contact has no name",
            option="contacts",
            value=str(person.get("name", "")),
            remedy=f"give a name, and {', '.join(PERSON[1:])} if you like",
        )
    details = [str(person[key]) for key in PERSON[1:] if person.get(key)]
    return {"name": str(person["name"]), "details": details}


def _by_hand(
    settings: RestoreSettings, target: restore_settings.RecoveryServer
) -> dict[str, Any] | None:
    """Return the commands without this collection; None where no server is configured."""
    if not target.host:
        return None
    folder = os.path.join(settings.tree_root, settings.tiers[0])
    own = os.path.join(keys.folder_of(settings.config_dir), keys.IDENTITY)
    identity = own if settings.seal.opens or os.path.exists(own) else ""
    return {
        "restore": by_hand.restore(target, folder, settings.backup_pattern, identity),
        "switch": by_hand.switch(target),
        "restored": by_hand.name_beside(target, "recovered"),
    }


def _offsite(settings: RestoreSettings, file: str | None) -> dict[str, Any] | None:
    """Return how a backup is fetched by hand; None where this host has no offsite stage.

    Args:
        settings: of the stage.
        file: the newest backup that was drilled; None before a drill.
    """
    path = settings.offsite_config
    if not os.path.exists(path):
        return None
    server = offsite_fetch.transport(path, settings.offsite_key_file, settings.offsite_destination)
    tier = settings.tiers[0]
    target = os.path.join(settings.tree_root, tier)
    return {
        "place": str(server),
        "command": server.fetch_command(f"{tier}/{file or 'BACKUP'}", target),
        "sealed": isinstance(server, SealedTransport),
        "signers": server.keys.signers if isinstance(server, SealedTransport) else (),
        "last_link": server.last_link,
    }
