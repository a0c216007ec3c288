# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup on its way into the production server: fetched, decoded, restored, questioned."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable
from typing import Any

from ..backup import archive, backup_digest, expectation, restore
from ..backup.archive import Archive
from ..backup.backup_choice import ChosenBackup, choose
from ..checks import checks
from ..common import interrupt
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, with_forms
from ..common.safe_text import error_line
from ..database.postgres import Server
from ..proof import backup_source, proof_settings, unpack_folder
from ..proof.phases import Phases
from ..proof.proof_settings import COULD_NOT_VERIFY, FAILED, PASSED
from ..staging import staging_state
from ..validation import restore_validation
from . import recovery
from .recovery import MARK, RESTORING, VALIDATED, RecoverySettings


@dataclasses.dataclass(frozen=True)
class RecoverySource:
    """Which backup: at a path, or the newest, of a tier, of a day; local or from offsite."""

    path: str | None
    tier: str | None
    date: str | None
    from_offsite: bool

    def local(self, settings: proof_settings.ProofSettings) -> ChosenBackup | None:
        """The local backup; None if it is to be fetched.

        Raises:
            ResilienceError: there is none.
        """
        if self.from_offsite:
            return None
        return choose(
            settings.backup_path,
            tiers=settings.tiers,
            pattern=settings.pattern,
            path=self.path,
            tier=self.tier,
            date=self.date,
        )


class RecoveryRun:
    """One backup on its way into the production server.

    Args:
        settings: of the recovery.
        source: the backup.
        steps: its phases.
        tenant: the only store that is wanted; empty for all.
    """

    def __init__(
        self, settings: RecoverySettings, source: RecoverySource, steps: Phases, tenant: str = ""
    ) -> None:
        self.settings, self.source, self.steps, self.tenant = settings, source, steps, tenant
        self.chosen = source.local(settings.drill)
        self.checks: list[dict[str, Any]] = []
        self.backup: dict[str, Any] = backup_source.description(self.chosen) if self.chosen else {}
        self.totals: dict[str, Any] = {}

    def result(self, attempt: Callable[[str], object]) -> dict[str, Any]:
        """Runs an attempt, and tells what it came to.

        Args:
            attempt: is given a folder for what is unpacked, which is gone afterwards.
        """
        verdict, problem = COULD_NOT_VERIFY, ""
        work_dir = self.settings.drill.staging.work_dir
        folder = unpack_folder.make(work_dir)
        try:
            attempt(folder)
            bad = any(check["status"] == checks.FAILED for check in self.checks)
            verdict = FAILED if bad else PASSED
        except BackupError as error:
            verdict, problem = FAILED, error.message()
        except ResilienceError as error:
            problem = error.message()
        except KeyboardInterrupt:
            interrupt.met()
            problem = _("it was interrupted")
        except Exception as error:  # whatever broke, what was begun is removed
            problem = error_line(error, 400)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        result = {
            "host": recovery.host_name(),
            "target": self.settings.target.dbname,
            "tenant": self.tenant or None,
            "name": None,
            "verdict": verdict,
            "problem": problem or None,
            "backup": self.backup,
            "checks": self.checks,
            **checks.tally_statuses([check["status"] for check in self.checks]),
            "totals": self.totals,
            "phases": self.steps.phases,
            "seconds": self.steps.seconds(),
        }
        return with_forms(result, "problem")

    def note(self) -> str:
        """What the comment on what was validated says."""
        where = self.backup.get("fetched_from", "") and f" of {self.backup['fetched_from']}"
        return f"{VALIDATED}, from {self.backup['file']}{where}, {self.backup['taken_at']}"

    def restore(self, folder: str, server: Server, name: str) -> Archive:
        """Digest, decode, restore into a new database, question it."""
        own = self.settings.drill
        if self.chosen is None:
            with self.steps.phase("fetch"):
                self.chosen = backup_source.fetch(own, folder, self.source.tier, self.source.date)
            self.backup = backup_source.description(self.chosen)
            self.backup["fetched_from"] = str(backup_source.offsite_of(own))
        path = self.chosen.path
        with self.steps.phase("digest"):
            self.backup["sha256"] = backup_digest.verify_digest(path).sha256
        with self.steps.phase("decode"):
            ready = archive.prepare(path, folder, server.binaries, time_limit=own.time_limit)
        if self.tenant:
            ready = self._only_tenant(ready)
        self._refuse_missing_roles(ready)
        with self.steps.phase("restore"):
            done = restore.restore(
                ready,
                server,
                name,
                jobs=own.jobs or None,
                time_limit=own.time_limit,
                options=self._options(ready, folder),
            )
        answer = checks.Evidence(restore.evidence(done), done.errors)
        self.add("restore", answer)
        wanted = expectation.from_entries(ready.toc.entries, ready.rows)
        self.ask(server, name, wanted)
        return ready

    def ask(self, server: Server, name: str, wanted: expectation.Expectation) -> None:
        """Questions a database."""
        questions = self.settings.drill.validation
        if self.tenant:
            # The other stores are not in it, and that is right.
            questions = dataclasses.replace(questions, tenant_query=None, queries=())
        with self.steps.phase("validate"):
            answers = restore_validation.validate_restore(
                server.dsn(name), wanted, questions, None, progress=self.steps.reporter("validate")
            )
        # Nobody logs in before the switch; that is no question left open.
        asked = [one for one in answers["checks"] if not one["id"].startswith("api_")]
        self.checks += [one for one in asked if one["status"] != checks.SKIPPED or not self.tenant]
        self.totals = answers["totals"]

    def add(self, id: str, answer: checks.Evidence) -> None:
        """A check that the phase before has answered."""
        seconds = self.steps.phases[-1]["seconds"]
        self.checks.append(checks.conclude(id, answer, seconds).to_dict())

    def _only_tenant(self, ready: Archive) -> Archive:
        """The archive as if it held this store and what is no store's."""
        if ready.format == "plain":
            raise ResilienceError(
                _("a plain dump cannot be restored in part"),
                option="tenant",
                value=self.tenant,
                remedy=_("take a backup that pg_dump made with -Fc, -Fd or -Ft"),
            )
        prefix = self.settings.drill.validation.tenant_prefix
        schemas = {entry.schema or entry.name for entry in ready.toc.entries}
        stores = ", ".join(sorted(name for name in schemas if name.startswith(prefix)))
        if self.tenant not in schemas:
            raise ResilienceError(
                _("the backup does not hold this store"),
                option="tenant",
                value=self.tenant,
                remedy=_("name one of %(names)s", names=stores),
            )

        def kept(entry: Any) -> bool:
            where = entry.schema or (entry.name.split(" ")[-1] if _of_schema(entry) else "")
            return not where.startswith(prefix) or where == self.tenant

        entries = [entry for entry in ready.toc.entries if kept(entry)]
        rows = {
            key: count
            for key, count in ready.rows.items()
            if not key[0].startswith(prefix) or key[0] == self.tenant
        }
        toc = dataclasses.replace(ready.toc, entries=entries)
        return dataclasses.replace(ready, toc=toc, rows=rows)

    def _options(self, ready: Archive, folder: str) -> list[str]:
        if not self.tenant:
            return []
        listed = os.path.join(folder, "wanted.list")
        with open(listed, "w", encoding="ascii") as file:
            # pg_restore reads the number and takes the rest of the line for a comment.
            file.writelines(f"{entry.dump_id};\n" for entry in ready.toc.entries)
        os.chmod(listed, 0o644)
        return [f"--use-list={listed}"]

    def _refuse_missing_roles(self, ready: Archive) -> None:
        with (
            contextlib.closing(recovery.connect(self.settings.target)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT rolname FROM pg_catalog.pg_roles")
            known = {name for (name,) in cursor.fetchall()}
        missing = sorted({entry.owner for entry in ready.toc.entries} - known - {""})
        if missing:
            raise ResilienceError(
                _(
                    "the server lacks roles that own what is in the backup: %(names)s",
                    names=", ".join(missing),
                ),
                option="recovery.host",
                value=self.settings.target.host,
                remedy=_("create them first: %(command)s", command=f'CREATE ROLE "{missing[0]}"'),
            )


def _of_schema(entry: Any) -> bool:
    """Whether a contents entry without a schema is one, or says something of one."""
    return bool(entry.kind == "SCHEMA" or entry.name.startswith("SCHEMA "))


def restore_beside(
    settings: RecoverySettings,
    *,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    from_offsite: bool = False,
    progress: proof_settings.Progress | None = None,
) -> dict[str, Any]:
    """Restores a backup into a new database of the production server, and questions it.

    Args:
        settings: what is recovered from where.
        path, tier, date: which backup; the newest when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        progress: told what happens.

    Returns:
        `verdict`, `problem`, `name` (the new database; None if none stands), `backup`, `checks`,
        `phases`, `seconds`. A database that did not pass is removed.

    Raises:
        ResilienceError: there is no such backup, or the server cannot be had: nothing was touched.
    """
    own = settings.drill
    with staging_state.locked(own.staging):
        steps = Phases(progress)
        source = RecoverySource(path, tier, date, from_offsite)
        recovery.remove_unfinished(settings.target)
        moment = recovery.stamp(recovery.taken(settings.target))
        name = recovery.beside(settings.target.dbname, "recovered", moment)
        mark = f"{MARK}{RESTORING} since {moment}"
        server = recovery.server_of(settings.target, mark)
        attempt = RecoveryRun(settings, source, steps)
        result = attempt.result(lambda folder: attempt.restore(folder, server, name))
        if result["verdict"] == PASSED:
            recovery.comment_database(settings.target, name, attempt.note())
            result["name"] = name
        else:
            recovery.drop_own(settings.target, name, mark)
        return result
