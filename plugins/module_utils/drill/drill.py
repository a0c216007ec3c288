# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill: one backup restored in staging and questioned, from choosing it to clean-up.

Its verdict is one of three. `failed` speaks of the backup: it is damaged, did not restore whole,
or what came out of it is not what went in. `could_not_verify` speaks of the place where it was
tried: no room, no programs, a backend that does not start, an interruption. Only `passed` claims
that the backup restores.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..archive import archive, archive_digest, manifest, restore_size, roles_needed
from ..archive.archive import Archive
from ..common.errors import BackupError, ResilienceError
from ..common.told import in_row, told, with_forms
from ..database.postgres import Server
from ..inventory import inventory
from ..inventory.backup_choice import Chosen, choose
from ..offsite import offsite_fetch, ssh
from ..staging import restore, staging
from ..validation import checks, expectation, previous_counts, production_drift, questioning
from ..validation.api_probe import STEPS, Api
from ..validation.findings import Finding, of_restore_error
from ..validation.validation import Settings as Questions
from . import drill_counts

PASSED, FAILED, COULD_NOT_VERIFY = "passed", "failed", "could_not_verify"
EXIT_CODES = {PASSED: 0, FAILED: 2, COULD_NOT_VERIFY: 3}
VERSION = 1
RESULT = "drill.json"

# Called with the name of a phase when it begins, and with what it does now.
Progress = Callable[[str, str], None]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a drill needs to know.

    Attributes:
        staging: where it is tried.
        state_dir: where its result is kept.
        backup_path, tiers, pattern: the backup tree.
        questions: what is asked beyond what the backup demands.
        api_users: who logs in: `email`, `password` and `schema` each.
        api_steps: what each of them asks for.
        api_time_limit: seconds that one answer may take.
        featured_schema: the store that reports show table by table.
        table_order: names of tables that reports show first, in this order.
        production_dsn: keyword arguments for `psycopg2.connect`, of a user of production who may
            read everything; empty compares with nothing.
        roles: made in staging before the restore, for policies that name them.
        jobs: how many to restore in parallel; 0 chooses.
        time_limit: seconds for each of unpacking, decoding and restoring.
        rto_seconds, rpo_seconds: the objectives.
        fall: how far a table may fall since the last drill before it is told.
        offsite_config: the offsite stage's configuration, for a backup that is fetched from there.
        offsite_key_file: a key that may read there; the stage's own when empty.
    """

    staging: staging.Settings
    state_dir: str
    backup_path: str
    tiers: tuple[str, ...] = inventory.TIERS
    pattern: str = inventory.PATTERN
    questions: Questions = dataclasses.field(default_factory=Questions)
    api_users: Sequence[Mapping[str, str]] = ()
    api_steps: Sequence[Mapping[str, Any]] = STEPS
    api_time_limit: float = 10
    featured_schema: str = ""
    table_order: Sequence[str] = ()
    production_dsn: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    roles: Sequence[str] = ()
    jobs: int = 0
    time_limit: float = 3600
    rto_seconds: float = 600
    rpo_seconds: float = 86400
    fall: previous_counts.Fall = previous_counts.Fall()
    offsite_config: str = ""
    offsite_key_file: str = ""


def exit_code(result: Mapping[str, Any]) -> int:
    """By the monitoring-plugins convention: 0 passed, 2 failed, 3 could not verify."""
    return EXIT_CODES[result["verdict"]]


def set_up(settings: Settings) -> dict[str, Any]:
    """Makes an empty staging that stays until it is cleaned up.

    Returns:
        `engine`, `host`, `port`, `database` and `seconds`.

    Raises:
        ResilienceError: it cannot be made, or a drill runs. What was made is removed again.
    """
    started = time.monotonic()
    with staging.locked(settings.staging):
        _remove_leftovers(settings.staging)
        note = staging.read_note(settings.staging)
        engine = staging.engine(settings.staging)
        engine.check()
        staging.write_note(settings.staging, kept=True, restored=note.restored if note else None)
        try:
            server = engine.up()
            staging.refuse_production(settings.staging, server.host, server.port)
        except BaseException:
            staging.remove(settings.staging)
            raise
    return {
        "engine": settings.staging.kind,
        "host": server.host,
        "port": server.port,
        "database": settings.staging.database,
        "seconds": round(time.monotonic() - started, 3),
    }


def clean_up(settings: Settings) -> list[str]:
    """Removes staging; in words what was removed. A second time there is nothing."""
    with staging.locked(settings.staging):
        return staging.remove(settings.staging) + _remove_unpacked(settings.staging.work_dir)


def run(
    settings: Settings,
    *,
    path: str | None = None,
    tier: str | None = None,
    date: str | None = None,
    from_offsite: bool = False,
    keep: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tries one backup.

    Args:
        settings: where, and what is asked.
        path, tier, date: which backup; the newest of all when left out.
        from_offsite: fetch it from the offsite server; then without `path`.
        keep: leave staging standing. One that `set_up` made is left standing anyway.
        progress: told what happens.

    Returns:
        The result, as `docs/results.md` describes it; it is also kept in the state folder.

    Raises:
        ResilienceError: there is no such backup, staging would be production, or another drill
            runs: nothing was touched, and no verdict is given.
    """
    with staging.locked(settings.staging):
        chosen = None
        if not from_offsite:
            chosen = choose(
                settings.backup_path,
                tiers=settings.tiers,
                pattern=settings.pattern,
                path=path,
                tier=tier,
                date=date,
            )
        attempt = _Drill(settings, chosen, keep, progress or _silent)
        result = attempt.run(lambda folder: fetch(settings, folder, tier, date))
        _keep_result(settings.state_dir, result)
        if result["verdict"] == PASSED:
            drill_counts.keep(settings.state_dir, result)
    return result


def validate(settings: Settings, *, progress: Progress | None = None) -> dict[str, Any]:
    """Questions the staging that stands, with the backup that was restored into it.

    Returns:
        A result as `run` gives it; its `restore` is the one that made this staging.

    Raises:
        ResilienceError: no staging stands, or nothing was restored into it.
    """
    with staging.locked(settings.staging):
        note = staging.read_note(settings.staging)
        engine = staging.engine(settings.staging)
        server = engine.find()
        if note is None or server is None or note.restored is None:
            raise ResilienceError(
                "no restored staging stands",
                option="work_dir",
                value=settings.staging.work_dir,
                remedy="run setup-staging and test-restore-staging first",
            )
        staging.refuse_production(settings.staging, server.host, server.port)
        with open(
            os.path.join(settings.staging.work_dir, staging.WANTED), encoding="utf-8"
        ) as file:
            wanted = expectation.from_dict(json.load(file))
        result = _Drill(settings, None, True, progress or _silent).question_only(
            note.restored, server, wanted, engine.backend_url()
        )
        _keep_result(settings.state_dir, result)
    return result


def last_result(state_dir: str) -> dict[str, Any] | None:
    """The newest drill's result; None before one, or where it cannot be read."""
    try:
        with open(os.path.join(state_dir, RESULT), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found
    except (OSError, ValueError):
        return None


class _Drill:
    """One drill, and what it has come to so far."""

    def __init__(
        self, settings: Settings, chosen: Chosen | None, keep: bool, progress: Progress
    ) -> None:
        self.settings, self.chosen, self.progress = settings, chosen, progress
        self.engine = staging.engine(settings.staging)
        note = staging.read_note(settings.staging)
        self.keep = keep or (note is not None and note.kept)
        self.clock = time.monotonic()
        self.phases: list[dict[str, Any]] = []
        self.backup: dict[str, Any] = described(chosen) if chosen else {}
        self.restored: dict[str, Any] | None = None
        self.answers: dict[str, Any] = {}
        self.own_checks: list[dict[str, Any]] = []
        self.backend_log = ""
        self.served_after: float | None = None

    def run(self, fetched: Callable[[str], Chosen]) -> dict[str, Any]:
        """The whole drill.

        Args:
            fetched: brings the backup into a folder, if none was chosen among the local ones.
        """
        verdict, problem = COULD_NOT_VERIFY, ""
        folder = ""
        try:
            _remove_leftovers(self.settings.staging)
            folder = _work_folder(self.settings.staging.work_dir)
            if self.chosen is None:
                with self._phase("fetch"):
                    self.chosen = fetched(folder)
                source = str(offsite_of(self.settings))
                self.backup = {**described(self.chosen), "fetched_from": source}
            self._try(folder)
            verdict = FAILED if self._failed() else PASSED
            self.served_after = time.monotonic() - self.clock
        except BackupError as error:
            verdict, problem = FAILED, error.told()
            found = Finding(error.finding, self.backup.get("file", ""), error.problem)
            answer = checks.Answer(told("it is not"), [found])
            self._add_check("archive", "The backup is whole", answer)
        except ResilienceError as error:
            problem = error.told()
        except KeyboardInterrupt:
            problem = told("it was interrupted")
        except Exception as error:  # noqa: BLE001 - whatever broke, a report must say so
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
        finally:
            with self._phase("cleanup"):
                shutil.rmtree(folder, ignore_errors=True)
                if not self.keep:
                    problem = self._remove(problem)
        return self._result(verdict, problem)

    def _remove(self, problem: str) -> str:
        """Removes staging; what stands in the way is told beside what else went wrong."""
        try:
            staging.remove(self.settings.staging)
        except ResilienceError as error:
            left = told("staging could not be removed: %(why)s", why=error.told())
            return in_row([problem, left], "; ")
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
            self._ask(server, wanted, url)
            verdict = FAILED if self._failed() else PASSED
        except ResilienceError as error:
            problem = error.told()
        return self._result(verdict, problem)

    def _try(self, folder: str) -> None:
        settings = self.settings
        binaries = self.engine.binaries()
        with self._phase("digest"):
            known = manifest.read(self.backup["path"])
            recorded, source = (
                (known.sha256, archive_digest.MANIFEST) if known else self._last_digest()
            )
            digest = archive_digest.verify_digest(self.backup["path"], recorded, source)
            self.backup["sha256"] = digest.sha256
        with self._phase("decode"):
            ready = archive.prepare(
                self.backup["path"], folder, binaries, time_limit=settings.time_limit
            )
            self.backup |= archive.to_dict(ready)
        wanted = expectation.of(ready.toc.entries, ready.rows)
        lost = manifest.apply(known, wanted) if known else []
        self._note_archive(ready, digest, wanted, lost)
        with self._phase("staging"):
            self.engine.check()
            place = self.engine.data_folder()
            if place:
                restore_size.check_room(restore_size.estimate(ready, wanted), place)
            staging.write_note(settings.staging, kept=self.keep, restored=None)
            server = self.engine.up()
            staging.refuse_production(settings.staging, server.host, server.port)
        restore.create_roles(server, settings.roles)
        lacking = roles_needed.read(ready.toc.entries).missing(restore.roles(server)).in_words()
        with self._phase("restore"):
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
        if settings.questions.amcheck:
            restore.add_amcheck(server, settings.staging.database)
        self._remember(wanted)
        url = None
        if self.engine.serves():
            with self._phase("backend"):
                url = self.engine.start_backend(server)
        self._ask(server, wanted, url)

    def _last_digest(self) -> tuple[str | None, str]:
        """The digest of the last drill, if it was of this very file: same place, size and time."""
        before = (last_result(self.settings.state_dir) or {}).get("backup") or {}
        same = all(before.get(key) == self.backup[key] for key in ("path", "bytes", "mtime_ns"))
        return (before.get("sha256") if same else None), archive_digest.LAST_DRILL

    def _note_archive(
        self,
        ready: Archive,
        digest: archive_digest.Digest,
        wanted: expectation.Expectation,
        lost: list[Finding],
    ) -> None:
        compared = (
            told("SHA-256 as in %(source)s", source=digest.source)
            if digest.source
            else told("no digest was recorded")
        )
        findings = [*lost]
        if ready.toc.row_security:
            text = told("it was dumped with row-level security on")
            findings.append(Finding("archive.row_security", self.backup["file"], text))
        beside = told("a manifest") if wanted.digests else told("no manifest")
        evidence = in_row([ready.proof, compared, beside], "; ")
        answer = checks.Answer(evidence, findings)
        self._add_check("archive", "The backup is whole", answer)

    def _add_check(self, id: str, title: str, answer: checks.Answer) -> None:
        """A question of the drill's own, which the phase before has answered."""
        seconds = self.phases[-1]["seconds"] if self.phases else 0.0
        check = checks.conclude(id, title, answer, seconds)
        ignore = self.settings.questions.ignore
        self.own_checks.append(checks.without_ignored(check, ignore).to_dict())

    def _note_restore(self, done: restore.Restored, lacking: str) -> None:
        self.restored = {**dataclasses.asdict(done), "engine": self.settings.staging.kind}
        self.restored["programs"] = self.engine.binaries().bin_dir
        self.restored["seconds"] = round(done.seconds, 3)
        evidence = in_row([restore_evidence(done), lacking], "; ")
        answer = checks.Answer(evidence, [of_restore_error(error) for error in done.errors])
        self._add_check("restore", "Restored without errors", answer)

    def _remember(self, wanted: expectation.Expectation) -> None:
        """Notes what was restored, so that `validate` can question it later."""
        work_dir = self.settings.staging.work_dir
        with open(os.path.join(work_dir, staging.WANTED), "w", encoding="utf-8") as file:
            json.dump(wanted.to_dict(), file)
        restored = {"backup": self.backup, "restore": self.restored, "checks": self.own_checks}
        staging.write_note(self.settings.staging, kept=self.keep, restored=restored)

    def _ask(self, server: Server, wanted: expectation.Expectation, url: str | None) -> None:
        settings = self.settings
        api = None
        if url:
            api = Api(url, settings.api_users, settings.api_steps, settings.api_time_limit)
        with self._phase("validate"):
            self.answers = questioning.question(
                server.dsn(settings.staging.database),
                wanted,
                settings.questions,
                api,
                featured_schema=settings.featured_schema,
                progress=lambda what: self.progress("validate", what),
            )
        drift = None
        if settings.production_dsn:
            with self._phase("production"):
                drift = production_drift.compare(settings.production_dsn, self.answers["schemas"])
            self._add_check("production", "Compared with production", drift)
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
            answer = checks.Answer(before, skipped=True)
        else:
            answer = previous_counts.compare(before, self.answers["schemas"], self.settings.fall)
        self._add_check("previous", "Compared with the last drill", answer)

    def _failed(self) -> bool:
        asked = [*self.own_checks, *self.answers["checks"]]
        return any(check["status"] == checks.FAILED for check in asked)

    def _result(self, verdict: str, problem: str) -> dict[str, Any]:
        settings = self.settings
        asked = [*self.own_checks, *self.answers.get("checks", [])]
        started = datetime.datetime.now().astimezone()
        seconds = time.monotonic() - self.clock
        started -= datetime.timedelta(seconds=seconds)
        result = {
            "version": VERSION,
            "time": started.isoformat(timespec="seconds"),
            "verdict": verdict,
            "problem": problem or None,
            "backup": self.backup,
            "restore": self.restored,
            "phases": self.phases,
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

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.progress(name, "")
        phase = {"name": name, "started": round(began - self.clock, 3), "seconds": 0.0}
        self.phases.append(phase)
        try:
            yield
        finally:
            phase["seconds"] = round(time.monotonic() - began, 3)


def offsite_of(settings: Settings) -> ssh.Destination:
    """The offsite server.

    Raises:
        ResilienceError: this host has no offsite stage.
    """
    return offsite_fetch.destination(settings.offsite_config, settings.offsite_key_file)


def fetch(settings: Settings, folder: str, tier: str | None, date: str | None) -> Chosen:
    """Fetches a backup from the offsite server into a folder.

    Raises:
        ResilienceError: it cannot be had.
    """
    return offsite_fetch.fetch(
        offsite_of(settings),
        folder,
        tiers=settings.tiers,
        pattern=settings.pattern,
        tier=tier,
        date=date,
    )


def restore_evidence(done: restore.Restored) -> str:
    """What is said of a restore."""
    return told(
        "%(jobs)d in parallel, harmless messages: %(harmless)d",
        jobs=done.jobs,
        harmless=len(done.harmless),
    )


def described(chosen: Chosen) -> dict[str, Any]:
    """What a result says of the backup that was chosen."""
    return {
        "file": os.path.basename(chosen.path),
        "path": chosen.path,
        "bytes": chosen.bytes,
        "mtime_ns": os.stat(chosen.path).st_mtime_ns,
        "tier": chosen.tier,
        "taken_at": chosen.taken_at,
        "age_seconds": round(chosen.age_seconds, 1),
    }


def _silent(_phase: str, _what: str) -> None:
    return None


UNPACKED_PREFIX = "unpacked-"


def _work_folder(work_dir: str) -> str:
    try:
        folder = tempfile.mkdtemp(prefix=UNPACKED_PREFIX, dir=work_dir)
        # Whoever restores is not root, and must reach what was unpacked; others cannot list it.
        os.chmod(folder, 0o711)
    except OSError as error:
        raise ResilienceError(
            f"the work folder cannot be used: {error.strerror}",
            option="work_dir",
            value=work_dir,
            remedy="make room there, or name another folder",
        ) from error
    return folder


def _remove_unpacked(work_dir: str) -> list[str]:
    removed = []
    for name in sorted(os.listdir(work_dir)) if os.path.isdir(work_dir) else []:
        if name.startswith(UNPACKED_PREFIX):
            folder = os.path.join(work_dir, name)
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"unpacked backup in {folder}")
    return removed


def _remove_leftovers(settings: staging.Settings) -> None:
    """Removes what a drill that was killed left; we hold the lock, so none runs."""
    _remove_unpacked(settings.work_dir)
    note = staging.read_note(settings)
    if note is None or not note.kept:
        staging.remove(settings)


def _keep_result(state_dir: str, result: Mapping[str, Any]) -> None:
    """Keeps the newest result.

    Raises:
        ResilienceError: the state folder cannot be written to.
    """
    path = os.path.join(state_dir, RESULT)
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(f"{path}.new", path)
    except OSError as error:
        raise ResilienceError(
            f"the result cannot be kept: {error.strerror}",
            option="state_dir",
            value=path,
            remedy="make room there, or name another folder",
        ) from error
