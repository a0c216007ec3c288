# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a drill: a backup restored and validated in staging, and the result."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..backup import expectation, restore, staging_roles
from ..backup.kind import Archive
from ..checks import checks
from ..common import interrupt, json_stream
from ..common.errors import ResilienceError
from ..common.messages import _, join, with_forms
from ..database.postgres import Binaries, Server
from ..proof import unpack_folder
from ..proof.backup_proof import BackupProof, Serving
from ..proof.backup_source import BackupSource
from ..proof.phases import Phases
from ..proof.proof_settings import COULD_NOT_VERIFY, PASSED, Progress, ProofSettings
from ..staging import production_guard, staging, staging_state

# Of the result's layout; docs/results.md describes it.
VERSION = 1


class StagingPlace:
    """A staging as the place where a backup is restored.

    Args:
        settings: of the drill.
        keep: leave staging standing.
        phases: of the drill.
    """

    throwaway, phase = True, "staging"

    def __init__(self, settings: ProofSettings, keep: bool, phases: Phases) -> None:
        self.settings, self.keep, self.phases = settings, keep, phases
        self.database = settings.staging.database
        self.validation = settings.validation
        self.engine = staging.make_engine(settings.staging)

    def binaries(self) -> Binaries:
        """Return the programs of staging's server."""
        return self.engine.binaries()

    def prepare(self) -> None:
        """Make what staging needs, and start nothing."""
        self.engine.prepare()

    def selection(self, ready: Archive) -> Archive:
        """Return the whole archive."""
        return ready

    def check(self, ready: Archive) -> None:
        """Make sure that staging can be made."""
        self.engine.check()

    def data_folder(self) -> str | None:
        """Return the folder of staging's data, if it is on this host."""
        return self.engine.data_folder()

    def open(self) -> Server:
        """Start staging's server, with the roles that policies need and without an application."""
        staging_state.write(self.settings.staging, kept=self.keep, restored=None)
        server = self.engine.up()
        production_guard.refuse_production(self.settings.staging, server.host, server.port)
        staging_roles.create(server, self.settings.roles)
        self.engine.stop_backend()
        return server

    def pg_restore_options(self, ready: Archive, folder: str) -> Sequence[str]:
        """Leave out owners and privileges: they are restored when all else is there, if at all."""
        return restore.OPTIONS

    def made_as(self, ready: Archive) -> dict[str, str]:
        """Return nothing: only the backup and its manifest know what the dumped database was."""
        return {}

    def restored(self, proof: BackupProof, expected: expectation.Expectation) -> None:
        """Record what was restored, so that `validate` can check it later."""
        path = os.path.join(self.settings.staging.work_dir, staging_state.EXPECTED)
        json_stream.replace(path, expected.to_dict(streamed=True))
        proof.restored = {**(proof.restored or {}), "engine": self.settings.staging.engine}
        restored = {"backup": proof.backup, "restore": proof.restored, "checks": proof.steps}
        staging_state.write(self.settings.staging, kept=self.keep, restored=restored)

    @contextlib.contextmanager
    def serving(self, server: Server) -> Iterator[Serving]:
        """Run the application, if there is one; it is watched from its first moment on."""
        with self.engine.isolation(server) as isolated:
            url = None
            if self.engine.serves():
                with self.phases.phase("backend"):
                    url = self.engine.start_backend(server)
            yield Serving(url, isolated)


class DrillRun:
    """One drill.

    Args:
        settings: of the drill.
        source: the backup; None to validate what an earlier drill restored.
        keep: leave staging standing.
        progress: called when a phase begins, and with what it does.

    Raises:
        ResilienceError: there is no such backup.
    """

    def __init__(
        self, settings: ProofSettings, source: BackupSource | None, keep: bool, progress: Progress
    ) -> None:
        self.settings = settings
        state = staging_state.read(settings.staging)
        self.phases = Phases(progress)
        self.place = StagingPlace(settings, keep or (state is not None and state.kept), self.phases)
        self.proof = BackupProof(settings, source, self.place, self.phases)
        self.backend_log = ""
        self.served_after: float | None = None

    def run(self, report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Run the whole drill, and return its result.

        Args:
            report: takes the result before the clean-up begins, which may be killed.
        """
        folder = ""

        def restore_and_validate() -> None:
            nonlocal folder
            unpack_folder.remove_leftovers(self.settings.staging)
            folder = unpack_folder.make(self.settings.staging.work_dir)
            self.proof.restore_and_validate(folder)
            self._read_backend_log()

        verdict, problem = self.proof.attempt(restore_and_validate)
        if verdict != COULD_NOT_VERIFY and self.proof.validation:
            self.served_after = self.phases.seconds()
        # No signal breaks what comes now, until the caller has shown the result: each of its steps
        # has a time limit.
        interrupt.begin_cleanup()
        if self.place.keep and verdict == PASSED:
            problem = self._record_served_after()
        report(self._result(verdict, problem))
        with self.phases.phase("cleanup"):
            shutil.rmtree(folder, ignore_errors=True)
            if not self.place.keep:
                problem = self._remove(problem)
        return self._result(verdict, problem)

    def validate_only(
        self,
        restored: Mapping[str, Any],
        server: Server,
        expected: expectation.Expectation,
        url: str | None,
    ) -> dict[str, Any]:
        """Validate a database that an earlier drill restored, and return the result.

        Args:
            restored: of that drill, as `StagingState.restored`.
            server: of staging.
            expected: what the database must hold.
            url: the backend's address; None without one.
        """
        proof = self.proof
        proof.backup, proof.restored = dict(restored["backup"]), dict(restored["restore"])
        proof.steps = list(restored["checks"])

        def validate() -> None:
            with self.place.engine.isolation(server) as isolated:
                proof.validate(server, expected, Serving(url, isolated))
            self._read_backend_log()

        verdict, problem = proof.attempt(validate)
        if verdict != COULD_NOT_VERIFY:
            # What was measured when this very database was restored and first served.
            self.served_after = restored.get("served_after")
        return self._result(verdict, problem)

    def _remove(self, problem: str) -> str:
        """Remove staging; return the problem, and what could not be removed."""
        try:
            staging_state.remove(self.settings.staging)
        except ResilienceError as error:
            left = _("staging could not be removed: %(why)s", why=error.message())
            return join([problem, left], "; ")
        return problem

    def _read_backend_log(self) -> None:
        made = self.proof.validation["checks"]
        if any(one["status"] == checks.FAILED and one["id"].startswith("api_") for one in made):
            self.backend_log = self.place.engine.log_tail()

    def _record_served_after(self) -> str:
        """Add how long it took until the restored system served; return what went wrong."""
        settings = self.settings.staging
        state = staging_state.read(settings)
        if state and state.restored:
            restored = {**state.restored, "served_after": self.served_after}
            try:
                staging_state.write(settings, kept=state.kept, restored=restored)
            except ResilienceError as error:
                return error.message()
        return ""

    def _result(self, verdict: str, problem: str) -> dict[str, Any]:
        settings, proof = self.settings, self.proof
        made, validation = proof.all_checks(), proof.validation
        started = datetime.datetime.now().astimezone()
        seconds = self.phases.seconds()
        started -= datetime.timedelta(seconds=seconds)
        result = {
            "version": VERSION,
            "time": started.isoformat(timespec="seconds"),
            "verdict": verdict,
            "problem": problem or None,
            "backup": proof.backup,
            "restore": proof.restored,
            "phases": self.phases.phases,
            "schemas": [
                {**schema, "tables": self._in_order(schema["tables"])}
                for schema in validation.get("schemas", [])
            ],
            "totals": validation.get("totals", {}),
            "featured_schema": settings.featured_schema
            or validation.get("called_schema")
            or self._first_tenant(),
            "api": validation.get("api", []),
            "backend_log": self.backend_log,
            "checks": made,
            **self._tally(made, verdict),
            "seconds": validation.get("seconds", 0.0),
            "total_seconds": round(seconds, 3),
            "rto_seconds": round(self.served_after, 3) if self.served_after else None,
            "rpo_seconds": proof.backup.get("age_seconds") if verdict == PASSED else None,
            "rpo_broken": verdict == PASSED and proof.breaks_rpo(),
            "objectives": {
                "rto_seconds": settings.rto_seconds,
                "rpo_seconds": settings.rpo_seconds,
            },
        }
        return with_forms(result, "problem")

    def _first_tenant(self) -> str:
        """Return the tenant that reports show where none is configured."""
        prefix = self.settings.validation.tenant_prefix
        schemas = self.proof.validation.get("schemas", [])
        names = [str(schema["name"]) for schema in schemas]
        return next((name for name in sorted(names) if name.startswith(prefix)), "")

    def _tally(self, made: list[dict[str, Any]], verdict: str) -> dict[str, Any]:
        tally = checks.tally_statuses([check["status"] for check in made])
        # The few checks that were made before an error give no confidence in the rest.
        return {**tally, "confidence": None} if verdict == COULD_NOT_VERIFY else tally

    def _in_order(self, tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = {name: number for number, name in enumerate(self.settings.table_order)}
        return sorted(tables, key=lambda table: first.get(table["name"], len(first)))
