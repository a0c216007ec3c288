# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup on its way through a drill, and the result that comes of it."""

from __future__ import annotations

import dataclasses
import datetime
import json
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
from ..backup.archive import Archive
from ..backup.backup_choice import ChosenBackup
from ..checks import checks
from ..checks.findings import Finding, of_restore_error
from ..common import interrupt
from ..common.errors import BackupError, ResilienceError
from ..common.messages import _, join, with_forms
from ..common.safe_text import error_line
from ..database.postgres import Server
from ..proof import backup_source, unpack_folder
from ..proof.phases import Phases
from ..proof.proof_settings import COULD_NOT_VERIFY, FAILED, PASSED, Progress, ProofSettings
from ..staging import isolation, staging
from ..validation import previous_counts, production_drift, restore_validation
from ..validation.api_probe import Api
from . import drill_counts, drill_result

# Of the result's layout; docs/results.md describes it.
VERSION = 1


class DrillRun:
    """One drill, and what it has come to so far."""

    def __init__(
        self, settings: ProofSettings, chosen: ChosenBackup | None, keep: bool, progress: Progress
    ) -> None:
        self.settings, self.chosen = settings, chosen
        self.engine = staging.engine(settings.staging)
        note = staging.read_note(settings.staging)
        self.keep = keep or (note is not None and note.kept)
        self.steps = Phases(progress)
        self.backup: dict[str, Any] = backup_source.described(chosen) if chosen else {}
        self.restored: dict[str, Any] | None = None
        self.answers: dict[str, Any] = {}
        self.own_checks: list[dict[str, Any]] = []
        self.backend_log = ""
        self.served_after: float | None = None

    def run(self, fetched: Callable[[str], ChosenBackup]) -> dict[str, Any]:
        """The whole drill.

        Args:
            fetched: brings the backup into a folder, if none was chosen among the local ones.
        """
        verdict, problem = COULD_NOT_VERIFY, ""
        folder = ""
        try:
            unpack_folder.remove_leftovers(self.settings.staging)
            folder = unpack_folder.make(self.settings.staging.work_dir)
            if self.chosen is None:
                with self.steps.phase("fetch"):
                    self.chosen = fetched(folder)
                source = str(backup_source.offsite_of(self.settings))
                self.backup = {**backup_source.described(self.chosen), "fetched_from": source}
            self._try(folder)
            verdict, problem = self._judged()
            if verdict != COULD_NOT_VERIFY:
                self.served_after = self.steps.seconds()
            if self.keep and verdict == PASSED:
                self._remember_served()
        except BackupError as error:
            verdict, problem = FAILED, error.message()
            found = Finding(error.finding, self.backup.get("file", ""), error.problem)
            answer = checks.Evidence(_("it is not"), [found])
            self._add_check("archive", answer)
        except ResilienceError as error:
            problem = error.message()
        except KeyboardInterrupt:
            interrupt.met()
            problem = _("it was interrupted")
        except Exception as error:  # whatever broke, a report must say so
            problem = error_line(error, 400)
        finally:
            with self.steps.phase("cleanup"):
                shutil.rmtree(folder, ignore_errors=True)
                if not self.keep:
                    problem = self._remove(problem)
        return self._result(verdict, problem)

    def _remove(self, problem: str) -> str:
        """Removes staging; what stands in the way is told beside what else went wrong."""
        try:
            staging.remove(self.settings.staging)
        except ResilienceError as error:
            left = _("staging could not be removed: %(why)s", why=error.message())
            return join([problem, left], "; ")
        return problem

    def question_only(
        self,
        restored: Mapping[str, Any],
        server: Server,
        wanted: expectation.Expectation,
        url: str | None,
    ) -> dict[str, Any]:
        self.backup, self.restored = dict(restored["backup"]), dict(restored["restore"])
        self.own_checks = list(restored["checks"])
        verdict, problem = COULD_NOT_VERIFY, ""
        try:
            with self.engine.isolation(server) as seen:
                self._ask(server, wanted, url, seen)
            verdict, problem = self._judged()
            # What was measured when this very database was restored and first served.
            self.served_after = restored.get("served_after")
        except ResilienceError as error:
            problem = error.message()
        return self._result(verdict, problem)

    def _try(self, folder: str) -> None:
        settings = self.settings
        binaries = self.engine.binaries()
        with self.steps.phase("digest"):
            known = manifest.read(self.backup["path"])
            recorded, source = (
                (known.sha256, backup_digest.MANIFEST) if known else self._last_digest()
            )
            digest = backup_digest.verify_digest(self.backup["path"], recorded, source)
            self.backup["sha256"] = digest.sha256
        # What staging needs beforehand is made ready beside the decoding; but nothing is started,
        # and nothing restored, before all of the backup was decoded.
        with ThreadPoolExecutor(max_workers=1) as beside:
            prepared = beside.submit(self.engine.prepare)
            with self.steps.phase("decode"):
                ready = archive.prepare(
                    self.backup["path"], folder, binaries, time_limit=settings.time_limit
                )
                self.backup |= archive.to_dict(ready)
            wanted = expectation.from_entries(ready.toc.entries, ready.rows)
        lost = manifest.apply(known, wanted) if known else []
        self._note_archive(ready, digest, wanted, lost)
        with self.steps.phase("staging"):
            prepared.result()
            self.engine.check()
            place = self.engine.data_folder()
            if place:
                restore_size.check_room(restore_size.estimate(ready, wanted), place)
            staging.write_note(settings.staging, kept=self.keep, restored=None)
            server = self.engine.up()
            staging.refuse_production(settings.staging, server.host, server.port)
        restore.create_roles(server, settings.roles)
        lacking = roles_needed.read(ready.toc.entries).missing(restore.roles(server)).in_words()
        with self.steps.phase("restore"):
            self.engine.stop_backend()
            done = restore.restore(
                ready,
                server,
                settings.staging.database,
                jobs=settings.jobs or None,
                time_limit=settings.time_limit,
                # The server is staging's own; an earlier drill's database may stand in it.
                replace=True,
            )
        self._note_restore(done, lacking)
        if settings.validation.amcheck:
            restore.add_amcheck(server, settings.staging.database)
        self._remember(wanted)
        # From its first moment on: what mails, mails when it starts.
        with self.engine.isolation(server) as seen:
            url = None
            if self.engine.serves():
                with self.steps.phase("backend"):
                    url = self.engine.start_backend(server)
            self._ask(server, wanted, url, seen)

    def _last_digest(self) -> tuple[str | None, str]:
        """The digest of the last drill, if it was of this very file: same place, size and time."""
        before = (drill_result.last_result(self.settings.state_dir) or {}).get("backup") or {}
        same = all(before.get(key) == self.backup[key] for key in ("path", "bytes", "mtime_ns"))
        return (before.get("sha256") if same else None), backup_digest.LAST_DRILL

    def _note_archive(
        self,
        ready: Archive,
        digest: backup_digest.Digest,
        wanted: expectation.Expectation,
        lost: list[Finding],
    ) -> None:
        compared = (
            _("SHA-256 as in %(source)s", source=digest.source)
            if digest.source
            else _("no digest was recorded")
        )
        findings = [*lost]
        if ready.toc.row_security:
            text = _("it was dumped with row-level security on")
            findings.append(Finding("archive.row_security", self.backup["file"], text))
        beside = _("a manifest") if wanted.digests else _("no manifest")
        unseen = ""
        if wanted.row_security and ready.format != "plain" and not wanted.digests:
            unseen = _(
                "tables with row-level security: %(count)d; this format does not tell whether the"
                " dump lacks rows for it, a manifest would",
                count=len(wanted.row_security),
            )
        evidence = join([ready.proof, compared, beside, unseen], "; ")
        answer = checks.Evidence(evidence, findings)
        self._add_check("archive", answer)

    def _add_check(self, id: str, answer: checks.Evidence, seconds: float | None = None) -> None:
        """A question of the drill's own, which the phase before has answered, or took seconds."""
        if seconds is None:
            seconds = self.steps.phases[-1]["seconds"] if self.steps.phases else 0.0
        check = checks.conclude(id, answer, seconds)
        ignore = self.settings.validation.ignore
        self.own_checks.append(checks.without_ignored(check, ignore).to_dict())

    def _note_restore(self, done: restore.Restored, lacking: str) -> None:
        self.restored = {**dataclasses.asdict(done), "engine": self.settings.staging.kind}
        self.restored["programs"] = self.engine.binaries().bin_dir
        self.restored["seconds"] = round(done.seconds, 3)
        evidence = join([restore.evidence(done), lacking], "; ")
        answer = checks.Evidence(evidence, [of_restore_error(error) for error in done.errors])
        self._add_check("restore", answer)

    def _remember(self, wanted: expectation.Expectation) -> None:
        """Notes what was restored, so that `validate` can question it later."""
        work_dir = self.settings.staging.work_dir
        with open(os.path.join(work_dir, staging.WANTED), "w", encoding="utf-8") as file:
            json.dump(wanted.to_dict(), file)
        restored = {"backup": self.backup, "restore": self.restored, "checks": self.own_checks}
        staging.write_note(self.settings.staging, kept=self.keep, restored=restored)

    def _remember_served(self) -> None:
        """Adds to that how long it took until the restored system was validated and served."""
        place = self.settings.staging
        note = staging.read_note(place)
        if note and note.restored:
            restored = {**note.restored, "served_after": self.served_after}
            staging.write_note(place, kept=note.kept, restored=restored)

    def _ask(
        self,
        server: Server,
        wanted: expectation.Expectation,
        url: str | None,
        isolated: Callable[[], checks.Evidence],
    ) -> None:
        settings = self.settings
        api = None
        if url:
            api = Api(url, settings.api_users, settings.api_steps, settings.api_time_limit)
        with self.steps.phase("validate"):
            self.answers = restore_validation.validate_restore(
                server.dsn(settings.staging.database),
                wanted,
                settings.validation,
                api,
                featured_schema=settings.featured_schema,
                progress=self.steps.tell("validate"),
            )
            if url:
                began = time.monotonic()
                answer = isolated()
                seconds = time.monotonic() - began
                self._add_check(isolation.CHECK, answer, seconds)
        drift = None
        if settings.production_dsn:
            with self.steps.phase("production"):
                drift = production_drift.compare(settings.production_dsn, self.answers["schemas"])
            self._add_check("production", drift)
        if not wanted.digests and (drift is None or drift.skipped):
            self._compare_with_previous()
        asked = self.answers["checks"]
        if any(one["status"] == checks.FAILED and one["id"].startswith("api_") for one in asked):
            self.backend_log = self.engine.last_words()

    def _compare_with_previous(self) -> None:
        """The weakest of the three things that rows are compared with, where it is the only one."""
        before = drill_counts.read(self.settings.state_dir)
        if before is None:
            return
        if isinstance(before, str):
            answer = checks.Evidence(before, skipped=True)
        else:
            answer = previous_counts.compare(before, self.answers["schemas"], self.settings.fall)
        self._add_check("previous", answer)

    def _judged(self) -> tuple[str, str]:
        """The verdict of the checks, and what stands in the way of one.

        A staging that was not closed says nothing against the backup, but nothing for it either:
        its application may have answered out of production, and somebody may have got its mail.
        """
        asked = [*self.own_checks, *self.answers["checks"]]
        failed = {check["id"] for check in asked if check["status"] == checks.FAILED}
        if failed == {isolation.CHECK}:
            return COULD_NOT_VERIFY, _("something may have left staging; see its check")
        return (FAILED if failed else PASSED), ""

    def _result(self, verdict: str, problem: str) -> dict[str, Any]:
        settings = self.settings
        asked = [*self.own_checks, *self.answers.get("checks", [])]
        started = datetime.datetime.now().astimezone()
        seconds = self.steps.seconds()
        started -= datetime.timedelta(seconds=seconds)
        result = {
            "version": VERSION,
            "time": started.isoformat(timespec="seconds"),
            "verdict": verdict,
            "problem": problem or None,
            "backup": self.backup,
            "restore": self.restored,
            "phases": self.steps.phases,
            "schemas": [
                {**schema, "tables": self._in_order(schema["tables"])}
                for schema in self.answers.get("schemas", [])
            ],
            "totals": self.answers.get("totals", {}),
            "featured_schema": settings.featured_schema,
            "api": self.answers.get("api", []),
            "backend_log": self.backend_log,
            "checks": asked,
            **self._tally(asked, verdict),
            "seconds": self.answers.get("seconds", 0.0),
            "total_seconds": round(seconds, 3),
            "rto_seconds": round(self.served_after, 3) if self.served_after else None,
            "rpo_seconds": self.backup.get("age_seconds") if verdict == PASSED else None,
            "objectives": {
                "rto_seconds": settings.rto_seconds,
                "rpo_seconds": settings.rpo_seconds,
            },
        }
        return with_forms(result, "problem")

    def _tally(self, asked: list[dict[str, Any]], verdict: str) -> dict[str, Any]:
        tally = checks.tally_statuses([check["status"] for check in asked])
        # The few questions that were asked before it broke off give no confidence in the rest.
        return {**tally, "confidence": None} if verdict == COULD_NOT_VERIFY else tally

    def _in_order(self, tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first = {name: number for number, name in enumerate(self.settings.table_order)}
        return sorted(tables, key=lambda table: first.get(table["name"], len(first)))
