# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a drill: a backup restored and validated, and the result."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..backup import (
    archive,
    backup_digest,
    expectation,
    manifest,
    restore,
    restore_size,
    roles_needed,
)
from ..backup.backup_choice import ChosenBackup
from ..checks import checks
from ..checks.findings import Finding, of_restore_error
from ..common import interrupt
from ..common.errors import BackupError, ResilienceError
from ..common.files import replace_json
from ..common.messages import _, join, with_forms
from ..common.safe_text import error_line
from ..database.postgres import Server
from ..proof import archive_check, backup_source, unpack_folder
from ..proof.phases import Phases
from ..proof.proof_settings import COULD_NOT_VERIFY, FAILED, PASSED, Progress, ProofSettings
from ..staging import isolation, production_guard, staging, staging_state
from ..validation import previous_counts, production_drift, restore_validation
from ..validation.api_probe import Api
from . import drill_counts, drill_result

# Of the result's layout; docs/results.md describes it.
VERSION = 1


class DrillRun:
    """One drill, and its findings so far.

    Args:
        settings: of the drill.
        chosen: the backup; None if it is fetched.
        keep: leave staging standing.
        progress: called when a phase begins, and with what it does.
    """

    def __init__(
        self, settings: ProofSettings, chosen: ChosenBackup | None, keep: bool, progress: Progress
    ) -> None:
        self.settings, self.chosen = settings, chosen
        self.engine = staging.make_engine(settings.staging)
        state = staging_state.read(settings.staging)
        self.keep = keep or (state is not None and state.kept)
        self.phases = Phases(progress)
        self.backup: dict[str, Any] = backup_source.description(chosen) if chosen else {}
        self.restored: dict[str, Any] | None = None
        self.validation: dict[str, Any] = {}
        self.drill_checks: list[dict[str, Any]] = []
        self.backend_log = ""
        self.served_after: float | None = None

    def run(
        self, fetch: Callable[[str], ChosenBackup], report: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Run the whole drill, and return its result.

        Args:
            fetch: brings the backup into a folder, if none was chosen among the local ones.
            report: takes the result before the clean-up begins, which may be killed.
        """
        verdict, problem = COULD_NOT_VERIFY, ""
        folder = ""
        try:
            unpack_folder.remove_leftovers(self.settings.staging)
            folder = unpack_folder.make(self.settings.staging.work_dir)
            if self.chosen is None:
                with self.phases.phase("fetch"):
                    self.chosen = fetch(folder)
                source = str(backup_source.offsite_of(self.settings))
                self.backup = {**backup_source.description(self.chosen), "fetched_from": source}
            self._restore_and_validate(folder)
            verdict, problem = self._verdict()
            if verdict != COULD_NOT_VERIFY:
                self.served_after = self.phases.seconds()
            if self.keep and verdict == PASSED:
                self._record_served_after()
        except BackupError as error:
            verdict, problem = FAILED, error.message()
            found = Finding(error.finding, self.backup.get("file", ""), error.problem)
            evidence = checks.Evidence(_("it is not"), [found])
            self._add_check("archive", evidence)
        except ResilienceError as error:
            problem = error.message()
        except KeyboardInterrupt:
            interrupt.begin_cleanup()
            problem = _("it was interrupted")
        except Exception as error:  # whatever failed, a report must say so
            problem = error_line(error, 400)
        # No signal breaks what comes now: each of its steps has a time limit.
        with interrupt.deferred():
            report(self._result(verdict, problem))
            with self.phases.phase("cleanup"):
                shutil.rmtree(folder, ignore_errors=True)
                if not self.keep:
                    problem = self._remove(problem)
            return self._result(verdict, problem)

    def _remove(self, problem: str) -> str:
        """Remove staging; return the problem, and what could not be removed."""
        try:
            staging_state.remove(self.settings.staging)
        except ResilienceError as error:
            left = _("staging could not be removed: %(why)s", why=error.message())
            return join([problem, left], "; ")
        return problem

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
        self.backup, self.restored = dict(restored["backup"]), dict(restored["restore"])
        self.drill_checks = list(restored["checks"])
        verdict, problem = COULD_NOT_VERIFY, ""
        try:
            with self.engine.isolation(server) as isolated:
                self._validate(server, expected, url, isolated)
            verdict, problem = self._verdict()
            # What was measured when this very database was restored and first served.
            self.served_after = restored.get("served_after")
        except ResilienceError as error:
            problem = error.message()
        return self._result(verdict, problem)

    def _restore_and_validate(self, folder: str) -> None:
        settings = self.settings
        binaries = self.engine.binaries()
        with self.phases.phase("digest"):
            known = manifest.read(self.backup["path"])
            recorded, source = (
                (known.sha256, backup_digest.MANIFEST) if known else self._last_digest()
            )
            digest = backup_digest.verify_digest(self.backup["path"], recorded, source)
            self.backup["sha256"] = digest.sha256
        # Staging is prepared beside the decoding; but nothing is started, and nothing restored,
        # before all of the backup was decoded.
        with ThreadPoolExecutor(max_workers=1) as beside:
            prepared = beside.submit(self.engine.prepare)
            with self.phases.phase("decode"):
                ready = archive.prepare(
                    self.backup["path"], folder, binaries, time_limit=settings.time_limit
                )
                self.backup |= archive.to_dict(ready)
            expected = expectation.from_entries(ready.toc.entries, ready.rows)
        lost = manifest.apply(known, expected) if known else []
        evidence = archive_check.evidence(
            ready, digest, expected, lost, self.backup["file"], self.backup.get("set_aside", ())
        )
        self._add_check("archive", evidence)
        with self.phases.phase("staging"):
            prepared.result()
            self.engine.check()
            data_folder = self.engine.data_folder()
            if data_folder:
                restore_size.check_room(restore_size.estimate(ready, expected), data_folder)
            staging_state.write(settings.staging, kept=self.keep, restored=None)
            server = self.engine.up()
            production_guard.refuse_production(settings.staging, server.host, server.port)
        restore.create_roles(server, settings.roles)
        lacking = roles_needed.read(ready.toc.entries).missing(restore.roles(server)).in_words()
        with self.phases.phase("restore"):
            self.engine.stop_backend()
            done = restore.restore(
                ready,
                server,
                settings.staging.database,
                jobs=settings.jobs or None,
                time_limit=settings.time_limit,
                # The server is staging's own; an earlier drill's database may be in it.
                replace=True,
            )
        self._check_restore(done, lacking)
        if settings.validation.amcheck:
            restore.add_amcheck(server, settings.staging.database)
        self._record_restore(expected)
        # From its first moment on: what mails, mails when it starts.
        with self.engine.isolation(server) as isolated:
            url = None
            if self.engine.serves():
                with self.phases.phase("backend"):
                    url = self.engine.start_backend(server)
            self._validate(server, expected, url, isolated)

    def _last_digest(self) -> tuple[str | None, str]:
        """Return the last drill's digest, if it was of this very file: same path, size and time."""
        before = (drill_result.last_result(self.settings.state_dir) or {}).get("backup") or {}
        same = all(before.get(key) == self.backup[key] for key in ("path", "bytes", "mtime_ns"))
        return (before.get("sha256") if same else None), backup_digest.LAST_DRILL

    def _add_check(self, id: str, evidence: checks.Evidence, seconds: float | None = None) -> None:
        """Add a check of the drill's own; without `seconds` it took as long as the last phase."""
        if seconds is None:
            seconds = self.phases.phases[-1]["seconds"] if self.phases.phases else 0.0
        check = checks.conclude(id, evidence, seconds)
        ignore = self.settings.validation.ignore
        self.drill_checks.append(checks.without_ignored(check, ignore).to_dict())

    def _check_restore(self, done: restore.RestoreResult, lacking: str) -> None:
        self.restored = {**dataclasses.asdict(done), "engine": self.settings.staging.engine}
        self.restored["programs"] = self.engine.binaries().bin_dir
        self.restored["seconds"] = round(done.seconds, 3)
        evidence = join([restore.evidence(done), lacking], "; ")
        result = checks.Evidence(evidence, [of_restore_error(error) for error in done.errors])
        self._add_check("restore", result)

    def _record_restore(self, expected: expectation.Expectation) -> None:
        """Record what was restored, so that `validate` can check it later."""
        path = os.path.join(self.settings.staging.work_dir, staging_state.EXPECTED)
        replace_json(path, expected.to_dict())
        restored = {"backup": self.backup, "restore": self.restored, "checks": self.drill_checks}
        staging_state.write(self.settings.staging, kept=self.keep, restored=restored)

    def _record_served_after(self) -> None:
        """Add how long it took until the restored system was validated and served."""
        settings = self.settings.staging
        state = staging_state.read(settings)
        if state and state.restored:
            restored = {**state.restored, "served_after": self.served_after}
            staging_state.write(settings, kept=state.kept, restored=restored)

    def _validate(
        self,
        server: Server,
        expected: expectation.Expectation,
        url: str | None,
        isolated: Callable[[], checks.Evidence],
    ) -> None:
        settings = self.settings
        api = None
        if url:
            api = Api(url, settings.api_users, settings.api_steps, settings.api_time_limit)
        with self.phases.phase("validate"):
            self.validation = restore_validation.validate_restore(
                server.dsn(settings.staging.database),
                expected,
                settings.validation,
                api,
                featured_schema=settings.featured_schema,
                progress=self.phases.reporter("validate"),
            )
            if url:
                began = time.monotonic()
                evidence = isolated()
                seconds = time.monotonic() - began
                self._add_check(isolation.CHECK, evidence, seconds)
        drift = None
        if settings.production_dsn:
            with self.phases.phase("production"):
                schemas = self.validation["schemas"]
                drift = production_drift.compare(settings.production_dsn, schemas)
            self._add_check("production", drift)
        if not expected.digests and (drift is None or drift.skipped):
            self._compare_with_previous()
        made = self.validation["checks"]
        if any(one["status"] == checks.FAILED and one["id"].startswith("api_") for one in made):
            self.backend_log = self.engine.log_tail()

    def _compare_with_previous(self) -> None:
        """Compare rows with the last drill: the weakest comparison, where there is no other."""
        before = drill_counts.read(self.settings.state_dir)
        if before is None:
            return
        if isinstance(before, str):
            evidence = checks.Evidence(before, skipped=True)
        else:
            evidence = previous_counts.compare(
                before, self.validation["schemas"], self.settings.fall
            )
        self._add_check("previous", evidence)

    def _verdict(self) -> tuple[str, str]:
        """Return the verdict of the checks, and why there is none.

        A staging that was not closed says nothing about the backup: its application may have
        responded with production's data.
        """
        made = [*self.drill_checks, *self.validation["checks"]]
        failed = {check["id"] for check in made if check["status"] == checks.FAILED}
        if failed == {isolation.CHECK}:
            return COULD_NOT_VERIFY, _("something may have left staging; see its check")
        return (FAILED if failed else PASSED), ""

    def _result(self, verdict: str, problem: str) -> dict[str, Any]:
        settings = self.settings
        made = [*self.drill_checks, *self.validation.get("checks", [])]
        started = datetime.datetime.now().astimezone()
        seconds = self.phases.seconds()
        started -= datetime.timedelta(seconds=seconds)
        result = {
            "version": VERSION,
            "time": started.isoformat(timespec="seconds"),
            "verdict": verdict,
            "problem": problem or None,
            "backup": self.backup,
            "restore": self.restored,
            "phases": self.phases.phases,
            "schemas": [
                {**schema, "tables": self._in_order(schema["tables"])}
                for schema in self.validation.get("schemas", [])
            ],
            "totals": self.validation.get("totals", {}),
            "featured_schema": settings.featured_schema or self._first_tenant(),
            "api": self.validation.get("api", []),
            "backend_log": self.backend_log,
            "checks": made,
            **self._tally(made, verdict),
            "seconds": self.validation.get("seconds", 0.0),
            "total_seconds": round(seconds, 3),
            "rto_seconds": round(self.served_after, 3) if self.served_after else None,
            "rpo_seconds": self.backup.get("age_seconds") if verdict == PASSED else None,
            "objectives": {
                "rto_seconds": settings.rto_seconds,
                "rpo_seconds": settings.rpo_seconds,
            },
        }
        return with_forms(result, "problem")

    def _first_tenant(self) -> str:
        """Return the tenant that reports show where none is configured."""
        prefix = self.settings.validation.tenant_prefix
        names = [str(schema["name"]) for schema in self.validation.get("schemas", [])]
        return next((name for name in sorted(names) if name.startswith(prefix)), "")

    def _tally(self, made: list[dict[str, Any]], verdict: str) -> dict[str, Any]:
        tally = checks.tally_statuses([check["status"] for check in made])
        # The few checks that were made before an error give no confidence in the rest.
        return {**tally, "confidence": None} if verdict == COULD_NOT_VERIFY else tally

    def _in_order(self, tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = {name: number for number, name in enumerate(self.settings.table_order)}
        return sorted(tables, key=lambda table: first.get(table["name"], len(first)))
