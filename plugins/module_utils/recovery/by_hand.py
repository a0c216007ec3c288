# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook's commands for a host without this collection: PostgreSQL's programs alone.

They are pasted on the worst day, perhaps into a shell that goes on after an error. So each block is
a subshell that ends at its first error, only a finished restore gets the name that the switch
takes, and the switch is one statement: production is never closed to connections by a setting.

A dump is code, and psql would run programs on this host that a plain one names (`\\!`): it reads
SQL from elsewhere in restricted mode alone, which an old psql lacks.
"""

from __future__ import annotations

import shlex

from ..database import postgres
from ..inventory import backup_names
from ..proof.restore_settings import RecoveryServer
from . import recovery, recovery_lock

# Prints the time in the name and the name of what is a backup, as `backup_choice` chooses it.
_NAMES = r"""chomp; next if /^(?:\.|(?:roles|globals)[_.-])/i; my %d;
if (/$ENV{PATTERN}/ or s/\.age$//r =~ /$ENV{PATTERN}/) { %d = %+ }
elsif (-e "$ENV{FROM}/$_/toc.dat" and
/_(?<date>\d{8})_(?<time>\d{6})(?!\d)/) { %d = %+ } else { next }
my $t = join "", map { $d{$_} // "" } qw(date time Y m d H M S); $t =~ s/\D//g; print "$t $_\n" """
# Leaves out of a plain dump what names the database that was dumped. Rows are copied as they are.
_PLAIN = r"""if ($rows) { $rows = 0 if /^\\\.$/; print; next } $rows = 1 if /^COPY .* FROM stdin;$/;
next if /^\\(?:connect|restrict|unrestrict) / or /^CREATE SCHEMA public;$/;
next if /^(?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE .*;$/ or /^COMMENT ON EXTENSION .*;$/;
next if !$body and /^(?:CREATE|DROP|ALTER|COMMENT ON) DATABASE |^ALTER ROLE .* IN DATABASE /;
$body = 1 if /^(?:CREATE|COPY|INSERT) /; print"""
# Entries of an archive that fail in every new database, or connect to another server.
_LEFT_OUT = r"^[0-9]+; [0-9]+ [0-9]+ (SCHEMA - public|COMMENT - EXTENSION|SUBSCRIPTION)"
_PROPERTIES = r"^[0-9]+; [0-9]+ [0-9]+ (DATABASE|ACL - DATABASE|COMMENT - DATABASE) "
# Of psql's own commands none is obeyed after this one, whose key no dump can know.
_RESTRICTED = (
    'GUARD="\\\\restrict $(head -c 16 /dev/urandom | od -An -tx1 | tr -d " \\n")"',
    'case "$(psql -X --help=commands)" in *\\\\restrict*) ;; *) GUARD="";'
    ' test "${TRUST_DUMP:-}" = yes || { psql --version;'
    ' echo "psql < 13.22, 14.19, 15.14, 16.10, 17.6: TRUST_DUMP=yes ?"; exit 1; } >&2 ;; esac',
)
# Encoding and locale of a database, as CREATE DATABASE takes them. ICU's locale and the provider
# have had several names since PostgreSQL 15.
_LOCALE = (
    "SELECT format($a$ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L$a$, pg_encoding_to_char(encoding),"
    " datcollate, datctype) || CASE j->>$a$datlocprovider$a$"
    " WHEN $a$i$a$ THEN format($a$ LOCALE_PROVIDER icu ICU_LOCALE %%L$a$,"
    " coalesce(j->>$a$datlocale$a$, j->>$a$daticulocale$a$))"
    " || coalesce($a$ ICU_RULES $a$ || quote_literal(j->>$a$daticurules$a$), $a$$a$)"
    " WHEN $a$b$a$ THEN format($a$ LOCALE_PROVIDER builtin BUILTIN_LOCALE %%L$a$,"
    " j->>$a$datlocale$a$) ELSE $a$$a$ END"
    " FROM pg_catalog.pg_database d, to_jsonb(d) j WHERE datname = %s"
)
# The same out of what pg_dump wrote, where there is no production to read it from.
_DUMPED_LOCALE = (
    "s/^CREATE DATABASE .* WITH TEMPLATE = template0((( (ENCODING|LOCALE|LC_COLLATE|LC_CTYPE"
    "|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE) = '[^']*')|( LOCALE_PROVIDER = [a-z]+))*)( .*)?;$/\\1/p"
)
# Opens a sealed backup with the host's key, or with the one that IDENTITY names.
_OPEN = (
    'case "$NAME" in *.age) age -d -i "${IDENTITY:-%s}" "$SOURCE" > "$WORK/opened";'
    ' SOURCE="$WORK/opened"; NAME="${NAME%%.age}" ;; esac'
)
# As long as what `to_char` writes.
LIKE_NOW = "20251120_030000"
_TABLES = (
    "SELECT count(*) FROM information_schema.tables WHERE table_type = $a$BASE TABLE$a$"
    " AND table_schema NOT IN ($a$pg_catalog$a$, $a$information_schema$a$)"
)


def restore(target: RecoveryServer, folder: str, pattern: str, identity: str = "") -> list[str]:
    """Return the lines that restore the newest backup beside production.

    Args:
        target: the production server.
        folder: of the backups.
        pattern: of their names, as configured.
        identity: file of the secret key that opens sealed backups; empty where none are.
    """
    making, made = name_beside(target, "restoring"), name_beside(target, "recovered")
    exists = f"SELECT 1 FROM pg_catalog.pg_database WHERE datname = {_literal(made)}"
    rename = f"ALTER DATABASE {_identifier(making)} RENAME TO {_identifier(made)}"
    create = f"CREATE DATABASE {_identifier(making)} TEMPLATE template0"
    where = f"-d {shlex.quote(postgres.connection_string(making))}"
    server = f"-d {shlex.quote(postgres.connection_string(target.maintenance_db))}"
    names = backup_names.compiled(pattern).pattern
    return [
        *_begin(target),
        f"export FROM={shlex.quote(folder)} PATTERN={shlex.quote(names)}",
        'NAME=$(find "$FROM" -mindepth 1 -maxdepth 1 -printf "%f\\n"'
        f" | perl -ne {shlex.quote(_on_one_line(_NAMES))} | sort | tail -n 1 | cut -d ' ' -f 2-)",
        'echo "$FROM/${NAME:?}"; SOURCE="$FROM/$NAME"',
        *([_OPEN % identity] if identity else []),
        f'test -z "$(psql -XAt {server} -c {shlex.quote(exists)})"',
        'test -d "$SOURCE" || { case "$NAME" in *.gz) gunzip -c "$SOURCE" ;;'
        ' *.xz) xz -dc "$SOURCE" ;; *.zst) zstd -dc "$SOURCE" ;; *.lz4) lz4 -dc "$SOURCE" ;;'
        ' *) cat "$SOURCE" ;; esac > "$WORK/dump"; SOURCE="$WORK/dump"; }',
        'HEAD=$(test -d "$SOURCE" || head -c 5 "$SOURCE" | tr -d "\\0")',
        f"dropdb --if-exists -- {shlex.quote(making)}",
        f"AS=$(psql -XAt {server} -c {shlex.quote(_LOCALE % _literal(target.dbname))})",
        'test -n "$AS" || AS=$(case "$HEAD" in ""|PGDMP|toc.d) pg_restore -l "$SOURCE"'
        ' | { grep -E "^[0-9]+; [0-9]+ [0-9]+ DATABASE " || :; } > "$WORK/list"'
        ' && pg_restore -C -L "$WORK/list" -f - "$SOURCE" ;; *) head -n 300 "$SOURCE" ;; esac'
        f" | sed -nE {shlex.quote(_DUMPED_LOCALE)})",
        f'psql -Xq -v ON_ERROR_STOP=1 {server} -c {shlex.quote(create)}" $AS"',
        'case "$HEAD" in ""|PGDMP|toc.d) pg_restore -l "$SOURCE"'
        f' | grep -vE {shlex.quote(_LEFT_OUT)} > "$WORK/list"',
        f'JOBS=4; test "$HEAD" != toc.d || JOBS=1; pg_restore {where} -j "$JOBS"'
        ' -L "$WORK/list" "$SOURCE" ;;',
        f'*) {{ printf "%s\\n" "$GUARD"; perl -ne {shlex.quote(_on_one_line(_PLAIN))} "$SOURCE"; }}'
        f" | psql -Xq -v ON_ERROR_STOP=1 {where} ;; esac",
        f'test "$(psql -XAt {where} -c {shlex.quote(_TABLES)})" -gt 0',
        f"psql -Xq -v ON_ERROR_STOP=1 {server} -c {shlex.quote(rename)}",
        f"echo {shlex.quote(made)}",
        ")",
    ]


def switch(target: RecoveryServer) -> list[str]:
    """Return the lines that put the restored database in production's place.

    Its properties are production's: those of the old one are read beforehand, where it can be read.
    """
    made, production = name_beside(target, "recovered"), target.dbname
    here = shlex.quote(postgres.connection_string(production))
    server = f"-d {shlex.quote(postgres.connection_string(target.maintenance_db))}"
    psql = f"psql -X -v ON_ERROR_STOP=1 {server}"
    old, new = _literal(production), _literal(made)
    # Sessions end while the names are locked; the loop ends with the restored one's name.
    end = (
        "DO $do$ DECLARE both_of oid[] := ARRAY(SELECT oid FROM pg_database"
        f" WHERE datname IN ({old}, {new})); BEGIN FOR n IN 1..140 LOOP"
        f" EXIT WHEN NOT EXISTS (SELECT FROM pg_database WHERE datname = {new});"
        " PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datid = ANY(both_of);"
        " PERFORM pg_stat_clear_snapshot(); PERFORM pg_sleep(0.05); END LOOP; END $do$"
    )
    kept = _literal(recovery.dated_name(production, "before", LIKE_NOW)[: -len(LIKE_NOW)])
    first, second = recovery_lock.key_of(production)
    # A switch of the same second has taken its name: the next second's is free.
    exchange = (
        "DO $do$ DECLARE at timestamptz := now(); kept text; BEGIN"
        f" IF NOT pg_try_advisory_xact_lock({first}, {second}) THEN"
        " RAISE EXCEPTION $a$another recovery is at work$a$; END IF; LOOP"
        f" kept := {kept} || to_char(at, $a$YYYYMMDD_HH24MISS$a$);"
        " EXIT WHEN NOT EXISTS (SELECT FROM pg_database WHERE datname = kept);"
        " at := at + interval $a$1 second$a$; END LOOP;"
        f" IF EXISTS (SELECT FROM pg_database WHERE datname = {old}) THEN"
        f" EXECUTE format($a$ALTER DATABASE %I RENAME TO %I$a$, {old}, kept);"
        " RAISE NOTICE $a$kept: %$a$, kept; END IF;"
        f" EXECUTE format($a$ALTER DATABASE %I RENAME TO %I$a$, {new}, {old}); END $do$"
    )
    return [
        *_begin(target),
        f'timeout 60 pg_dump -Fc -C -s -f "$WORK/old" {here}'
        ' && pg_restore -C -l "$WORK/old"'
        f' | grep -E {shlex.quote(_PROPERTIES)} > "$WORK/list"'
        ' && pg_restore -C -L "$WORK/list" -f - "$WORK/old"'
        " | grep -E '^(ALTER|GRANT|REVOKE|COMMENT|SET SESSION AUTH|RESET SESSION AUTH)'"
        ' > "$WORK/properties"'
        ' || { echo "owner, privileges, settings: ?"; : > "$WORK/properties"; }',
        f'{psql} -qc {shlex.quote(end)} > "$WORK/ended" &',
        f"{psql} -qc {shlex.quote(exchange)}",
        "wait",
        f'{{ printf "%s\\n" "$GUARD"; cat "$WORK/properties"; }} | psql -Xq {server}',
        f"psql -X {server} -c {shlex.quote(_shown(production))}",
        ")",
    ]


def _begin(target: RecoveryServer) -> list[str]:
    port, host, user = str(target.port), shlex.quote(target.host), shlex.quote(target.user)
    return [
        "(",
        "set -euo pipefail; umask 077; WORK=$(mktemp -d); trap 'rm -rf \"$WORK\"' EXIT",
        f"export PGHOST={host} PGPORT={port} PGUSER={user}",
        *_RESTRICTED,
    ]


def name_beside(target: RecoveryServer, purpose: str) -> str:
    """Return the name of the database while it is beside production, within PostgreSQL's limit."""
    return recovery.dated_name(target.dbname, purpose, "")[:-1]


def _shown(production: str) -> str:
    """Return the query that shows the databases of production's names."""
    begin = _literal(production.encode()[:30].decode("utf-8", "ignore"))
    return (
        "SELECT datname, pg_get_userbyid(datdba) AS owner, datallowconn, datacl"
        f" FROM pg_catalog.pg_database WHERE starts_with(datname::text, {begin}) ORDER BY 1"
    )


def _on_one_line(program: str) -> str:
    return " ".join(program.split("\n")).strip()


def _literal(text: str) -> str:
    """Return a literal of SQL; without quotes where it may be, as the shell's are around it."""
    return "'" + text.replace("'", "''") + "'" if "$" in text else f"$a${text}$a$"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
