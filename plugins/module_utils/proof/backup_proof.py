# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a backup to a validated database: the one path of a drill and of a recovery.

Both make the same checks in the same order and reach the same verdict. They differ in the place
where they restore, and in what comes afterwards.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..backup import (
    access_restore,
    archive,
    archive_numbers,
    backup_digest,
    database_locale,
    expectation,
    manifest,
    part_signs,
    restore,
    restore_size,
    roles_needed,
    staging_roles,
)
from ..backup.archive_numbers import Numbers
from ..backup.expectation import Expectation
from ..backup.kind import Archive, Proving
from ..backup.manifest import Manifest
from ..backup.part_signs import PartSigns
from ..backup.restore import RestoreResult
from ..checks import checks
from ..checks.checks import Evidence
from ..checks.findings import Finding, of_restore_error
from ..common import interrupt, iso_time
from ..common.errors import BackupError, ResilienceError
from ..common.messages import Message, _, join
from ..common.safe_text import error_line
from ..database import access
from ..database.postgres import Binaries, Server
from ..sealing import opened_backup
from ..staging import isolation
from ..validation import previous_counts, production_drift, restore_validation
from ..validation.api_probe import Api
from ..validation.check_context import ValidationSettings
from . import (
    archive_check,
    backup_source,
    drill_counts,
    drill_result,
    left_out,
    numbering,
    sealed_chain,
)
from .backup_source import BackupSource
from .phases import Phases
from .proof_settings import COULD_NOT_VERIFY, FAILED, PASSED, ProofSettings


@dataclasses.dataclass(frozen=True)
class Serving:
    """What runs over a restored database while it is validated.

    Attributes:
        url: of the application; None without one.
        isolated: checks that nothing left the place; None where nothing is watched.
    """

    url: str | None = None
    isolated: Callable[[], Evidence] | None = None


class Place(Protocol):
    """Where a backup is restored: a staging in a drill, the production server in a recovery.

    Attributes:
        database: the name of the restored database.
        throwaway: whether the database is removed afterwards: then one of that name is replaced,
            and what a check needs is installed in it. Otherwise it may become production.
        phase: the name of the phase in which it is opened.
        validation: settings of the checks.
    """

    database: str
    throwaway: bool
    phase: str
    validation: ValidationSettings

    def binaries(self) -> Binaries:
        """Return PostgreSQL's programs that restore into it."""

    def prepare(self) -> None:
        """Make what takes time, beside the decoding of the backup; nothing is started."""

    def selection(self, ready: Archive) -> Archive:
        """Return the part of the archive that is restored."""

    def check(self, ready: Archive) -> None:
        """Make sure that the archive can be restored here.

        Raises:
            ResilienceError: it cannot.
        """

    def data_folder(self) -> str | None:
        """Return the folder of this host that will hold the restored data; None if none will."""

    def open(self) -> Server:
        """Return the server to restore into."""

    def pg_restore_options(self, ready: Archive, folder: str) -> Sequence[str]:
        """Return the options of pg_restore, beside where and what.

        Args:
            ready: what is restored.
            folder: for files of its own.
        """

    def made_as(self, ready: Archive) -> dict[str, str]:
        """Return encoding and locale as options of CREATE DATABASE, if this place knows them.

        Used where neither the backup nor its manifest holds them.
        """

    def restored(self, proof: BackupProof, expected: Expectation) -> None:
        """Note that the backup was restored, before it is validated."""

    def serving(self, server: Server) -> AbstractContextManager[Serving]:
        """Run what serves over the restored database meanwhile."""


class BackupProof:
    """One backup on its way to a validated database, and its checks so far.

    Args:
        settings: of the drill or the recovery.
        source: the backup.
        place: where it is restored.
        phases: of the drill or the recovery.

    Attributes:
        backup: the chosen backup, for a result.
        restored: the restore, for a result; None before it.
        steps: the checks of the path itself, for a result.
        validation: as `restore_validation.validate_restore` returns it; empty before it.
        may_lack: whether it could not be verified only because the backup may be a part.

    Raises:
        ResilienceError: there is no such backup.
    """

    def __init__(
        self, settings: ProofSettings, source: BackupSource | None, place: Place, phases: Phases
    ) -> None:
        self.settings, self.place, self.phases = settings, place, phases
        self._source = source
        self.chosen = source.local_backup(settings) if source else None
        self.backup: dict[str, Any] = backup_source.description(self.chosen) if self.chosen else {}
        self.restored: dict[str, Any] | None = None
        self.steps: list[dict[str, Any]] = []
        self.validation: dict[str, Any] = {}
        self.may_lack = False
        # Whether only a part of the backup is restored.
        self._part = False
        self._numbers: Numbers | None = None
        self._signs: PartSigns | None = None
        # Whether owners and privileges were restored, and can be compared.
        self._has_access = False

    def attempt(self, work: Callable[[], object]) -> tuple[str, str]:
        """Do some work, and return the verdict and why there is none.

        Args:
            work: makes the checks.
        """
        try:
            work()
            return self._verdict()
        except BackupError as error:
            found = Finding(error.finding, self.backup.get("file", ""), error.problem)
            self.add_step("archive", Evidence("", [found]))
            return FAILED, error.message()
        except ResilienceError as error:
            return COULD_NOT_VERIFY, error.message()
        except KeyboardInterrupt:
            interrupt.begin_cleanup()
            return COULD_NOT_VERIFY, _("it was interrupted")
        except Exception as error:  # whatever failed, a report must say so
            return COULD_NOT_VERIFY, error_line(error, 400)

    def restore_and_validate(self, folder: str) -> None:
        """Take the backup to a validated database.

        Args:
            folder: to unpack into.

        Raises:
            BackupError: the backup is damaged.
            ResilienceError: the place is at fault.
        """
        server, expected, has_manifest = self._restore_backup(folder)
        self.place.restored(self, expected)
        with self.place.serving(server) as serving:
            self.validate(server, expected, serving)
        if self.backup.get("sealed"):
            made = self.validation["checks"]
            evidence = sealed_chain.evidence(self.backup, made, recorded=has_manifest)
            self.add_step(sealed_chain.CHECK, evidence, 0.0)

    def _restore_backup(self, folder: str) -> tuple[Server, Expectation, bool]:
        """Restore the backup; return the server, what it must hold, whether it has a manifest.

        The archive's table of contents, which may be large, is not kept.
        """
        settings, place = self.settings, self.place
        self._fetch(folder)
        binaries = place.binaries()
        # The place is prepared meanwhile; but nothing is started, and nothing restored, before the
        # digest was compared. In a place of its own a backup is decoded while it is restored; in
        # any other all of it is decoded first.
        with ThreadPoolExecutor(max_workers=1) as beside:
            prepared = beside.submit(place.prepare)
            known, digest = self._digest()
            with self.phases.phase("decode"):
                whole = archive.recognised(
                    self.backup["path"],
                    folder,
                    binaries,
                    time_limit=settings.time_limit,
                    packed=place.throwaway,
                )
                if not place.throwaway:
                    whole = archive.prove(whole, Proving.by_all(binaries, settings.time_limit))
                self.backup.update(archive.to_dict(whole))
        ready = place.selection(whole)
        self._part = ready is not whole
        # A manifest names all of the backup, so it does not state what a part must hold.
        known = None if self._part else known
        self._numbers = archive_numbers.read(whole.toc) if whole.kind.numbered else None
        with self.phases.phase(place.phase):
            prepared.result()
            place.check(ready)
            data_folder = place.data_folder()
            room = restore_size.Room(data_folder) if data_folder else None
            expected = self._expectation(ready, known, digest) if ready.proved else None
            if room:
                room.check(restore_size.estimate(ready, expected))
            server = place.open()

        def proved(archive: Archive) -> None:
            """Note what the restored database must hold, while it is restored."""
            nonlocal expected
            expected = self._expectation(archive, known, digest)
            if room:
                room.check(restore_size.estimate(archive, expected))

        read = self._restore(ready, known, server, folder, room, proved)
        self._signs = part_signs.read(read.toc)
        if not ready.proved:
            self.backup.update(archive.to_dict(read))
        if expected is None:
            expected = self._expectation(read, known, digest)
        if known and known.access and self._has_access:
            left_out = (self.restored or {}).get("left_out", {})
            refused = {name[len("SET ") :] for name in left_out if name.startswith("SET ")}
            # A recovered database gets what is its own when it becomes production.
            itself = self.place.throwaway and read.kind.holds_the_database
            privileges = access_restore.names_privileges(read.toc.entries)
            expected.access = access.of_dump(
                known.access, itself=itself, privileges=privileges, refused=refused
            ).to_dict()
        return server, expected, known is not None

    def validate(self, server: Server, expected: Expectation, serving: Serving) -> None:
        """Validate a restored database.

        Args:
            server: where it is.
            expected: what it must hold.
            serving: what runs over it.
        """
        settings, api = self.settings, None
        if serving.url:
            api = Api(serving.url, settings.api_users, settings.api_steps, settings.api_time_limit)
        with self.phases.phase("validate"):
            self.validation = restore_validation.validate_restore(
                server.dsn(self.place.database),
                expected,
                self.place.validation,
                api,
                featured_schema=settings.featured_schema,
                progress=self.phases.reporter("validate"),
            )
            if serving.isolated:
                began = time.monotonic()
                evidence = serving.isolated()
                self.add_step(isolation.CHECK, evidence, time.monotonic() - began)
        if self._part:
            return
        drift = self._production_drift()
        if not expected.digests and (drift is None or drift.skipped):
            self._compare_with_previous()
            self._look_for_parts(server)

    def all_checks(self) -> list[dict[str, Any]]:
        """Return every check that was made."""
        return [*self.steps, *self.validation.get("checks", ())]

    def doubts(self) -> list[str]:
        """Return what proves nothing against the backup, and people should look at."""
        return [
            check["evidence"]
            for check in self.steps
            if check["status"] == checks.SKIPPED and check["findings"]
        ]

    def breaks_rpo(self) -> bool:
        """Return whether the newest backup of all is older than the objective allows."""
        newest = self._source is not None and self._source.newest_of_all
        age: float = self.backup.get("age_seconds", 0.0)
        return newest and age > self.settings.rpo_seconds

    def add_step(self, id: str, evidence: Evidence, seconds: float | None = None) -> None:
        """Add a check of the path itself; without `seconds` it took as long as the last phase."""
        if seconds is None:
            seconds = self.phases.phases[-1]["seconds"] if self.phases.phases else 0.0
        check = checks.conclude(id, evidence, seconds)
        self.steps.append(self._without_ignored(check))

    def _without_ignored(self, check: checks.CheckResult) -> dict[str, Any]:
        return checks.without_ignored(check, self.place.validation.ignore).to_dict()

    def _fetch(self, folder: str) -> None:
        if self.chosen is None and self._source is not None:
            with self.phases.phase("fetch"):
                self.chosen = self._source.fetch(self.settings, folder)
            source = str(backup_source.offsite_transport(self.settings))
            self.backup = {**backup_source.description(self.chosen), "fetched_from": source}
        if self.chosen and opened_backup.is_sealed(self.chosen.path):
            sealed = self.chosen.path
            with self.phases.phase("open"):
                self.chosen = backup_source.opened(self.settings, self.chosen, folder)
            opened = backup_source.description(self.chosen)
            self.backup = {**self.backup, **opened, "opened_from": sealed}

    def _digest(self) -> tuple[Manifest | None, backup_digest.Digest]:
        """Compare the digest with the recorded one; return the manifest and the digest."""
        with self.phases.phase("digest"):
            archive.check_kind(self.backup["path"])
            known = manifest.read(self.backup["path"])
            recorded, source = (
                (known.sha256, backup_digest.MANIFEST) if known else self._last_digest()
            )
            digest = backup_digest.verify_digest(self.backup["path"], recorded, source)
            self.backup["sha256"] = digest.sha256
        if known:
            # The one moment that is written with its time zone.
            age = time.time() - iso_time.parse(known.taken_at).timestamp()
            self.backup["age_seconds"] = round(max(age, 0.0), 1)
        return known, digest

    def _last_digest(self) -> tuple[str | None, str]:
        """Return the last drill's digest, if it was of this very file: same path, size and time."""
        before = (drill_result.last_result(self.settings.state_dir) or {}).get("backup") or {}
        same = all(before.get(key) == self.backup[key] for key in ("path", "bytes", "mtime_ns"))
        return (before.get("sha256") if same else None), backup_digest.LAST_DRILL

    def _expectation(
        self, ready: Archive, known: Manifest | None, digest: backup_digest.Digest
    ) -> Expectation:
        """Return what a proved backup must restore, and add the check `archive`."""
        expected = expectation.from_entries(ready.toc.entries, ready.rows)
        lost = manifest.apply(known, expected) if known else []
        evidence = archive_check.evidence(
            ready, digest, expected, lost, self.backup["file"], self.backup["set_aside"]
        )
        check = checks.conclude("archive", evidence, ready.proved_in)
        self.steps.insert(0, self._without_ignored(check))
        return expected

    def _restore(
        self,
        ready: Archive,
        known: Manifest | None,
        server: Server,
        folder: str,
        room: restore_size.Room | None,
        proved: Callable[[Archive], object],
    ) -> Archive:
        """Restore an archive, add the check, and return the archive, proved."""
        settings, place = self.settings, self.place
        # The roles of a server with other databases are not this collection's to make.
        own_server = place.throwaway and not server.mark
        with self.phases.phase("restore"):
            done = restore.restore(
                ready,
                server,
                place.database,
                jobs=settings.jobs or None,
                time_limit=settings.time_limit,
                replace=place.throwaway,
                options=place.pg_restore_options(ready, folder),
                made_as=(database_locale.clauses(known.encoding, known.locale) if known else None)
                or place.made_as(ready),
                # Production's server has its own, which a recovered database must not override.
                settings=self._settings(ready, known) if place.throwaway else None,
                roles=known.roles if known and known.access and own_server else None,
                watch=room.watch if room else None,
                proved=proved,
            )
        ready = done.archive or ready
        lacking = (
            roles_needed.read(ready.toc.entries).missing(staging_roles.names(server)).in_words()
        )
        self.restored = {
            **dataclasses.asdict(dataclasses.replace(done, archive=None, access=None)),
            "programs": server.binaries.bin_dir,
            "seconds": round(done.seconds, 3),
        }
        del self.restored["archive"], self.restored["access"]
        errors = [of_restore_error(error) for error in done.errors]
        evidence = [restore.evidence(done), lacking, self._access_evidence(ready, known, done)]
        self.add_step("restore", Evidence(join(evidence, "; "), errors))
        restore.analyze_catalogues(server, place.database)
        if place.throwaway and place.validation.amcheck:
            restore.add_amcheck(server, place.database)
        return ready

    def _access_evidence(
        self, ready: Archive, known: Manifest | None, done: RestoreResult
    ) -> Message | str:
        """Return what became of owners and privileges; empty without a manifest."""
        self._has_access = done.access == ""
        if known is None:
            return ""
        if not self.place.throwaway:
            # Production has the roles, so owners and privileges were restored with all else.
            statements = (entry.definition for entry in ready.toc.entries)
            nameless = ready.kind.is_nameless(ready.toc.entries, statements)
            self._has_access = known.access is not None and not nameless
            return ""
        if self._has_access:
            count = len(known.roles)
            if not access_restore.names_privileges(ready.toc.entries):
                return _(
                    "owners restored, with %(count)d roles; no privileges: the dump has none",
                    count=count,
                )
            return _("owners and privileges restored, with %(count)d roles", count=count)
        if known.access is None:
            why: Message | str = _("the manifest has none")
        else:
            why = done.access or _("no roles are made on this server")
        return _("owners and privileges are not compared: %(why)s", why=why)

    def _settings(self, ready: Archive, known: Manifest | None) -> Mapping[str, str]:
        """Return the settings that production's sessions have, as far as they are known."""
        if known and known.settings:
            return known.settings
        # initdb gives a server one locale for all; `money` is written in it.
        locale = database_locale.of(ready.toc.entries).get("collate")
        return {"lc_monetary": locale} if locale else {}

    def _production_drift(self) -> Evidence | None:
        """Compare with production, where the settings name a user of it who may read."""
        if not self.settings.production_dsn:
            return None
        with self.phases.phase("production"):
            schemas = self.validation["schemas"]
            drift = production_drift.compare(self.settings.production_dsn, schemas)
        if drift.findings and not self.place.throwaway:
            # An older state may be what is recovered: people decide, see `doubts`.
            drift = dataclasses.replace(drift, skipped=True)
        self.add_step("production", drift)
        return drift

    def _compare_with_previous(self) -> None:
        """Compare rows with the last drill: the weakest comparison, where there is no other."""
        before = drill_counts.read(self.settings.state_dir)
        if before is None:
            return
        if isinstance(before, str):
            evidence = Evidence(before, skipped=True)
        else:
            evidence = previous_counts.compare(
                before, self.validation["schemas"], self.settings.fall
            )
        self.add_step("previous", evidence)

    def _look_for_parts(self, server: Server) -> None:
        """Look whether the backup itself shows that something was left out."""
        restored = (server, self.place.database, self.backup["file"])
        if self._numbers and (gaps := numbering.evidence(self._numbers, *restored)):
            self.add_step(numbering.CHECK, gaps)
        if self._signs and (signs := left_out.evidence(self._signs, *restored)):
            self.add_step(left_out.CHECK, signs)

    def _verdict(self) -> tuple[str, str]:
        """Return the verdict of the checks, and why there is none.

        A place that was not closed says nothing about the backup: its application may have
        responded with production's data. Nor does a check that a limit or a lost server cut off.
        """
        failed = [check for check in self.all_checks() if check["status"] == checks.FAILED]
        cut_off = [check for check in failed if _is_cut_off(check)]
        proving = {check["id"] for check in failed if check not in cut_off}
        if proving == {isolation.CHECK}:
            return COULD_NOT_VERIFY, _("something may have left staging; see its check")
        if cut_off and not proving:
            why = str(cut_off[0]["findings"][0]["text"])
            return COULD_NOT_VERIFY, _(
                "a check was cut off (%(check)s): %(why)s", check=cut_off[0]["id"], why=why
            )
        if proving:
            return FAILED, ""
        parts = (check for check in self.steps if check["id"] in (numbering.CHECK, left_out.CHECK))
        if any(check["findings"] for check in parts):
            self.may_lack = True
            return COULD_NOT_VERIFY, _("something may have been left out; see its check")
        return PASSED, ""


def _is_cut_off(check: dict[str, Any]) -> bool:
    return all(found["id"] == checks.CUT_OFF for found in check["findings"])
