# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of stage 3 on a host: restore drills and disaster recovery share them."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping
from typing import Any, Optional

from ..checks import findings
from ..common.settings import option
from ..notifications.notification_settings import StageSettings
from ..sealing import keys
from ..sealing.seal_settings import SealSettings
from ..staging import staging
from ..validation import api_probe, check_context, previous_counts
from .proof_settings import ProofSettings

# Docker Compose where the host has Docker, else a private PostgreSQL.
AUTO = "auto"
COMPOSE_FILE = "docker-compose.staging.yml"


@dataclasses.dataclass(frozen=True)
class DatabaseSettings:
    """Production's database.

    Attributes:
        host, port: of its server; no host where production is not reached from here.
        dbname: its name.
        user, password: of a role that may read everything, for comparing what was restored with
            production; nothing is compared without a user.
        system_identifier: the number that initdb gave its cluster, as
            `SELECT system_identifier FROM pg_control_system()` returns it.
    """

    host: str = ""
    port: int = 5432
    dbname: str = ""
    user: str = ""
    password: str = option("", secret=True)
    system_identifier: str = ""


@dataclasses.dataclass(frozen=True)
class TenantSettings:
    """How the tenants of a database are found.

    Attributes:
        prefix: of the schemas that are tenants.
        query: SQL that returns the name of every tenant's schema; empty for no query.
    """

    prefix: str = "tenant_"
    query: str = "SELECT schema_name FROM public.companies"


@dataclasses.dataclass(frozen=True)
class RecoveryConduct:
    """How disaster recovery works on the production server.

    Attributes:
        maintenance_db: database to connect to meanwhile.
        bin_dir: folder of the client programs; if empty, of the newest installed ones that are not
            newer than the server.
        stop_command, start_command: stop and start what uses the database, program and arguments;
            each must be safe to run twice.
        health_url: URL that responds with 200 when production serves again; empty for no check.
        verify_tls: whether the certificate of `health_url` must be trusted by this host and be for
            the name in it; a public certificate is not for 127.0.0.1.
        seconds: time limit of the health check, and of each command.
    """

    maintenance_db: str = "postgres"
    bin_dir: str = ""
    stop_command: tuple[str, ...] = ()
    start_command: tuple[str, ...] = ()
    health_url: str = ""
    verify_tls: bool = True
    seconds: float = 120


@dataclasses.dataclass(frozen=True)
class RecoveryServer(RecoveryConduct):
    """The production server that disaster recovery restores into.

    Attributes:
        host, port, user, password: of a superuser, or of a role that may create databases and owns
            what it restores.
        dbname: production's database.
        drills_bin_dir: folder of the programs of drills, which serve where `bin_dir` is empty and
            they are not newer than the server.
    """

    host: str = ""
    port: int = 5432
    user: str = "postgres"
    password: str = option("", secret=True)
    dbname: str = "restaurante"
    drills_bin_dir: str = ""


@dataclasses.dataclass(frozen=True)
class RecoveryOptions(RecoveryConduct):
    """The option `recovery`: as `RecoveryServer`; what is None is taken from `database`."""

    host: Optional[str] = None
    port: Optional[int] = None
    user: Optional[str] = None
    password: Optional[str] = option(None, secret=True)
    dbname: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class RestoreSettings(StageSettings):
    """Stage 3 on a host.

    Attributes:
        engine: what staging is made of; `auto` is `compose` where Docker is, else `embedded`.
        dir: folder of the compose file.
        work_dir: folder of stage 3 alone, for everything that a restore creates.
        staging_database: name of the restored database.
        bin_dir: PostgreSQL's programs; the newest installed ones when empty.
        sandbox: whether the engine `embedded` runs server, restore programs and application in a
            sandbox.
        postgres_image, postgres_port, volume, backend_image, backend_build, docker_host,
            compose_command: of the engine `compose`.
        external: the server of the engine `external`.
        database: production's.
        tenants: how tenants are found.
        backend_command, backend_folders, backend_env, backend_port, backend_health_path,
            backend_seconds: the application over the restored database.
        featured_schema: the tenant that reports show table by table.
        table_order: tables that reports show first.
        foreign_keys: which foreign keys are checked row by row, `not_valid` or `all`.
        queries: SQL with the rows that it must return.
        amcheck: whether every B-tree index is checked block by block.
        ignore_findings: findings that fail no check, with a reason each.
        roles: names of roles to create in staging before the restore.
        api_users, api_steps, api_time_limit: who logs in to the application, and what they request.
        fall_percent, fall_least_rows: by how much a table may fall since the last drill.
        jobs: how many tables to restore in parallel; 0 chooses by the number of processors.
        time_limit: seconds for each of unpacking, decoding and restoring.
        rto_seconds, rpo_seconds: the objectives.
        recovery: production's server for disaster recovery.
        report_dir, runbook, contacts: reports and the runbook.
        source: where drills take the backup from.
        offsite_config, offsite_key_file, offsite_destination: how a backup is fetched from
            offsite.
        scripts_dir: folder of the commands, for the runbook.
        config_dir: folder of the configurations; the keys of sealing lie in it.
        seal: for whom backups are sealed, and what opens them.
        log_file: each run appends its lines to it.
    """

    engine: str = option(AUTO, choices=(AUTO, *staging.ENGINES))
    dir: str = "/root/restaurante/staging"
    work_dir: str = "/var/lib/chefwell-resilience/staging"
    staging_database: str = "restaurante_staging"
    bin_dir: str = ""
    sandbox: bool = True
    postgres_image: str = "postgres:16-alpine"
    postgres_port: int = 5433
    volume: str = "staging_postgres_data"
    backend_image: str = ""
    backend_build: str = "../backend"
    docker_host: str = ""
    compose_command: tuple[str, ...] = ()
    external: staging.ExternalSettings = staging.ExternalSettings()
    database: DatabaseSettings = DatabaseSettings()
    tenants: TenantSettings = TenantSettings()
    backend_command: tuple[str, ...] = ()
    backend_folders: tuple[str, ...] = ()
    backend_env: Mapping[str, Any] = option(
        {
            "MAIL_ENABLED": "false",
            "QUEUES_ENABLED": "false",
            "PAYMENTS_ENABLED": "false",
            "SCHEDULER_ENABLED": "false",
        },
        secret=True,
    )
    backend_port: int = 3001
    backend_health_path: str = "/health"
    backend_seconds: float = 60
    featured_schema: str = "tenant_chefwell"
    table_order: tuple[str, ...] = (
        "products",
        "categories",
        "sales",
        "customers",
        "tabs",
        "orders",
        "expenses",
        "stripe_payments",
    )
    foreign_keys: str = option("not_valid", choices=("not_valid", "all"))
    queries: tuple[Mapping[str, Any], ...] = ()
    amcheck: bool = False
    ignore_findings: tuple[Mapping[str, Any], ...] = ()
    roles: tuple[str, ...] = ()
    api_users: tuple[Mapping[str, Any], ...] = option((), secret=True)
    api_steps: tuple[Mapping[str, Any], ...] = ()
    api_time_limit: float = 10
    fall_percent: float = 50
    fall_least_rows: int = 20
    jobs: int = 0
    time_limit: float = 3600
    rto_seconds: float = 600
    rpo_seconds: float = 86400
    recovery: RecoveryOptions = RecoveryOptions()
    report_dir: str = "/var/lib/chefwell-resilience/drill"
    runbook: str = "/root/restaurante/DISASTER-RECOVERY-PLAYBOOK.md"
    contacts: tuple[Mapping[str, Any], ...] = ()
    source: str = option("local", choices=("local", "offsite"))
    offsite_config: str = ""
    offsite_key_file: str = ""
    offsite_destination: str = ""
    scripts_dir: str = ""
    config_dir: str = "/etc/chefwell-resilience"
    seal: SealSettings = SealSettings()
    log_file: str = "/var/log/chefwell-staging-restore.log"

    @property
    def featured_tenant(self) -> str:
        """The tenant that reports show; empty where the featured schema is no tenant here."""
        return self.featured_schema if self.featured_schema.startswith(self.tenants.prefix) else ""


def engine(settings: RestoreSettings) -> str:
    """Return what staging is made of on this host."""
    if settings.engine != AUTO:
        return settings.engine
    return "compose" if shutil.which("docker") else "embedded"


def recovery_server(settings: RestoreSettings) -> RecoveryServer:
    """Return the server that disaster recovery restores into."""
    options, database = settings.recovery, settings.database
    defaults = {
        "host": database.host,
        "port": database.port,
        "user": database.user or "postgres",
        "password": database.password,
        "dbname": database.dbname or RecoveryServer.dbname,
        "drills_bin_dir": settings.bin_dir,
    }
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return RecoveryServer(**{**defaults, **{k: v for k, v in given.items() if v is not None}})


def proof_settings(settings: RestoreSettings) -> ProofSettings:
    """Return the settings of a restore and its validation.

    Raises:
        ResilienceError: an option is wrong; names it.
    """
    backend = staging.BackendSettings(
        command=settings.backend_command,
        env={str(name): str(value) for name, value in settings.backend_env.items()},
        folders=settings.backend_folders,
        port=settings.backend_port,
        health_path=settings.backend_health_path,
        seconds=settings.backend_seconds,
    )
    database = settings.database
    place = staging.StagingSettings(
        engine=engine(settings),
        backend=backend,
        production=staging.ProductionSettings(
            database.host, database.port, database.dbname, database.system_identifier
        ),
        compose=staging.ComposeSettings(
            file=os.path.join(settings.dir, COMPOSE_FILE),
            image=settings.postgres_image,
            port=settings.postgres_port,
            volume=settings.volume,
            serves=bool(settings.backend_image or settings.backend_build),
            docker_host=settings.docker_host,
            command=settings.compose_command,
        ),
        external=settings.external,
        work_dir=settings.work_dir,
        database=settings.staging_database,
        bin_dir=settings.bin_dir,
        sandbox=settings.sandbox,
    )
    steps = settings.api_steps or api_probe.STEPS
    # Wrong users or steps are refused before anything is touched.
    api_probe.Api(backend.url, settings.api_users, steps)
    return ProofSettings(
        staging=place,
        validation=check_context.ValidationSettings(
            tenant_query=settings.tenants.query or None,
            tenant_prefix=settings.tenants.prefix,
            ignore=findings.ignore_rules(list(settings.ignore_findings)),
            foreign_keys=settings.foreign_keys,
            queries=settings.queries,
            amcheck=settings.amcheck,
        ),
        state_dir=settings.state_dir,
        keys_folder=keys.folder_of(settings.config_dir),
        seal=settings.seal,
        backup_path=settings.tree_root,
        tiers=settings.tiers,
        pattern=settings.backup_pattern,
        featured_schema=settings.featured_tenant,
        jobs=settings.jobs,
        time_limit=settings.time_limit,
        roles=settings.roles,
        production_dsn=production_dsn(database),
        table_order=settings.table_order,
        offsite_config=settings.offsite_config,
        offsite_key_file=settings.offsite_key_file,
        offsite_destination=settings.offsite_destination,
        fall=previous_counts.FallLimits(settings.fall_percent, settings.fall_least_rows),
        api_users=settings.api_users,
        api_steps=steps,
        api_time_limit=settings.api_time_limit,
        rto_seconds=settings.rto_seconds,
        rpo_seconds=settings.rpo_seconds,
    )


def production_dsn(database: DatabaseSettings) -> dict[str, Any]:
    """Return the connection parameters of production for a comparison; empty without a user."""
    if not (database.host and database.user and database.dbname):
        return {}
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "dbname": database.dbname,
    }
