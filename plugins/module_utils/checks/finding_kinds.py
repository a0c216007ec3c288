# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of findings: identifier, meaning and remedy of each."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        meaning: one sentence.
        remedy: what to do about it.
    """

    meaning: str
    remedy: str


KINDS = {
    "archive.damaged": Kind(
        "The backup is cut off or damaged: it cannot be decoded to its end.",
        "Take another backup, or fetch the same one from offsite; then look at the disk "
        "that held it.",
    ),
    "archive.not_a_dump": Kind(
        "What lies where a backup should be is something else.",
        "Look at what the backup script wrote there; the message names it.",
    ),
    "archive.digest_differs": Kind(
        "The backup is not what it was when its digest was recorded.",
        "Fetch the same backup from offsite; look at the disk, and at who may write there.",
    ),
    "archive.row_security": Kind(
        "The dump was taken with row-level security on, so it may lack rows that the "
        "dumping role does not see.",
        "Dump as a superuser or a role with BYPASSRLS, without `--enable-row-security`.",
    ),
    "archive.partial": Kind(
        "The dump leaves out the rows of tables that it defines: it is no whole backup.",
        "Dump without `--schema-only`, `--section` and `--exclude-table-data`. Where the rows are "
        "left out on purpose, ignore the finding of that table, with the reason.",
    ),
    "archive.numbers_missing": Kind(
        "pg_dump numbered more schemas, tables, views and sequences than the archive has: `-n`, "
        "`-N`, `-t` or `-T` left some out. What it is nothing shows, so the check is skipped, and "
        "the drill could not verify the backup.",
        "Dump the whole database. Where that was done, write a manifest (`backup-manifest.sh`) or "
        "name a user of production (`staging_restore_database`), which show it for certain; or "
        "ignore the finding, with the reason.",
    ),
    "archive.schemas_chosen": Kind(
        "The dump creates the schema `public`, which a dump of a whole database does not: it was "
        "made with `-n`, so other schemas, extensions and large objects may be missing.",
        "Dump the whole database. Where that is all of it, write a manifest (`backup-manifest.sh`) "
        "or name a user of production (`staging_restore_database`); or ignore the finding, with "
        "the reason.",
    ),
    "archive.section_missing": Kind(
        "The dump has tables and their rows, and was made without what stands behind them: keys, "
        "indexes, triggers, rules and policies (`--section`).",
        "Dump without `--section`, or restore the other part behind it. Where nobody needs that, "
        "ignore the finding, with the reason.",
    ),
    "archive.comments_missing": Kind(
        "The dump has no comment at all, not even that of an extension: it was made with "
        "`--no-comments`.",
        "Dump without `--no-comments`. Where nobody needs the comments, ignore the finding, with "
        "the reason.",
    ),
    "archive.large_objects_missing": Kind(
        "The dump has no large objects, and a column refers to some: they were left out "
        "(`--no-blobs`, `-n`, `-t`), or were deleted in production.",
        "Dump with `--blobs`. Where the column holds something else, ignore the finding, with the "
        "reason.",
    ),
    "restore.error": Kind(
        "Something did not restore.",
        "Read PostgreSQL's message; restore by hand the object that it names.",
    ),
    "restore.role_missing": Kind(
        "A policy or another object needs a role that staging does not have. A dump holds "
        "no roles.",
        "Save the roles too (`pg_dumpall --roles-only`), and name them in "
        "`staging_restore_roles` so that staging has them.",
    ),
    "restore.extension_missing": Kind(
        "The database needs an extension that the server does not have.",
        "Install the extension's package where backups are restored, in staging and on "
        "the server that would replace production.",
    ),
    "schema.missing": Kind(
        "A schema of the backup is not in the restored database.",
        "Look at the errors of the restore.",
    ),
    "schema.unexpected": Kind(
        "The restored database has a schema that the backup does not have.",
        "Restore into an empty database.",
    ),
    "tenant.schema_missing": Kind(
        "A tenant is listed, but its schema is not there.",
        "Create the tenant's schema or remove its row; if production has the schema, the "
        "backup left it out.",
    ),
    "tenant.not_listed": Kind(
        "A tenant's schema is there, but no row lists it.",
        "Add the row or drop the schema.",
    ),
    "tenant.listed_twice": Kind(
        "Two rows name one schema.",
        "Remove one of the rows.",
    ),
    "tenant.none_listed": Kind(
        "The query for the tenants returns none.",
        "Look at `tenant_query`; an empty list is no list.",
    ),
    "tenant.table_missing": Kind(
        "A tenant lacks a table that most tenants have.",
        "Run the migration that this tenant missed.",
    ),
    "tenant.table_extra": Kind(
        "A tenant has a table that most tenants do not have.",
        "Finish the migration, or drop what was left behind.",
    ),
    "tenant.column_differs": Kind(
        "A tenant lacks a column that most tenants have, or has it with another type.",
        "Run the migration that this tenant missed.",
    ),
    "tenant.column_extra": Kind(
        "A tenant has a column that most tenants do not have.",
        "Finish the migration, or drop what was left behind.",
    ),
    "tenant.index_missing": Kind(
        "A tenant lacks an index that most tenants have.",
        "Create the index there.",
    ),
    "tenant.index_extra": Kind(
        "A tenant has an index that most tenants do not have.",
        "Create it everywhere, or drop it.",
    ),
    "tenant.key_missing": Kind(
        "A tenant lacks a key or a constraint that most tenants have.",
        "Add the constraint there; look first for rows that break it.",
    ),
    "tenant.key_extra": Kind(
        "A tenant has a key or a constraint that most tenants do not have.",
        "Add it everywhere, or drop it.",
    ),
    "table.missing": Kind(
        "A table of the backup is not in the restored database.",
        "Look at the errors of the restore.",
    ),
    "table.unexpected": Kind(
        "The restored database has a table that the backup does not have.",
        "Restore into an empty database.",
    ),
    "column.missing": Kind(
        "A table lacks a column that the backup has.",
        "Restore into an empty database; look at the errors of the restore.",
    ),
    "column.unexpected": Kind(
        "A table has a column that the backup does not have.",
        "Restore into an empty database.",
    ),
    "rows.differ": Kind(
        "A table has not as many rows as the backup.",
        "Look at the errors of the restore, and at triggers or rules that change rows.",
    ),
    "content.differs": Kind(
        "A table has as many rows as when the backup was taken, but other content.",
        "Do not trust this backup; take another one, and find out what changed it.",
    ),
    "primary_key.missing": Kind(
        "A primary key is missing.",
        "Look for doubled rows, then add it.",
    ),
    "foreign_key.missing": Kind(
        "A foreign key is missing.",
        "Look at the errors of the restore: rows without their parent keep a key from being made.",
    ),
    "foreign_key.orphan": Kind(
        "Rows refer to rows that do not exist, under a key that is not validated.",
        "Correct the rows in production, then `ALTER TABLE ... VALIDATE CONSTRAINT`.",
    ),
    "index.missing": Kind(
        "An index is missing.",
        "Look at the errors of the restore.",
    ),
    "index.invalid": Kind(
        "An index is not usable.",
        "`REINDEX` it; in production an interrupted `CREATE INDEX CONCURRENTLY` leaves such a one.",
    ),
    "unique.missing": Kind(
        "A unique constraint is missing.",
        "Look for doubled rows, then add it.",
    ),
    "constraint.missing": Kind(
        "A check or exclusion constraint that the backup has an entry for is missing.",
        "Look at the errors of the restore.",
    ),
    "sequence.missing": Kind(
        "A sequence is missing.",
        "Look at the errors of the restore.",
    ),
    "sequence.behind": Kind(
        "The next value of a sequence is in its unique column already: the next insert fails.",
        "`SELECT setval(...)` in production to the column's maximum.",
    ),
    "sequence.differs": Kind(
        "A sequence is not where it was when the backup was taken.",
        "Set it with `setval`; look at the errors of the restore.",
    ),
    "view.missing": Kind(
        "A view is missing.",
        "Look at the errors of the restore.",
    ),
    "view.broken": Kind(
        "A view names something that does not exist.",
        "Read PostgreSQL's message; the view uses something that does not exist.",
    ),
    "matview.missing": Kind(
        "A materialized view is missing.",
        "Look at the errors of the restore.",
    ),
    "matview.empty": Kind(
        "A materialized view that had rows is not populated, so reading it fails.",
        "Look at the errors of the restore; its refresh failed.",
    ),
    "function.missing": Kind(
        "A function, procedure or aggregate is missing.",
        "Look at the errors of the restore.",
    ),
    "type.missing": Kind(
        "A type or domain is missing.",
        "Look at the errors of the restore.",
    ),
    "extension.missing": Kind(
        "An extension is missing.",
        "Install its package on the server.",
    ),
    "trigger.missing": Kind(
        "A trigger is missing.",
        "Look at the errors of the restore.",
    ),
    "trigger.disabled": Kind(
        "A trigger is switched off, though the backup has it on.",
        "`ALTER TABLE ... ENABLE TRIGGER`.",
    ),
    "rule.missing": Kind(
        "A rule is missing.",
        "Look at the errors of the restore.",
    ),
    "policy.missing": Kind(
        "A row-level security policy is missing.",
        "Look at the errors of the restore; its roles may be missing.",
    ),
    "policy.not_enforced": Kind(
        "A table has policies, but row-level security is off.",
        "`ALTER TABLE ... ENABLE ROW LEVEL SECURITY`; without it everybody sees every row.",
    ),
    "large_object.missing": Kind(
        "There are not as many large objects as in the backup.",
        "Dump with `--large-objects` (`-b`); look at the errors of the restore.",
    ),
    "large_object.differs": Kind(
        "A large object has other content than in production when the backup was taken, or was not "
        "there.",
        "Do not trust this backup; take another one, and find out what changed it.",
    ),
    "encoding.differs": Kind(
        "The database has another encoding than the backup.",
        "Create it with the backup's encoding.",
    ),
    "collation.version_differs": Kind(
        "The operating system sorts text otherwise than when the indexes were built.",
        "`REINDEX` the indexes on text, then `ALTER DATABASE ... REFRESH COLLATION VERSION`.",
    ),
    "collation.unlike_production": Kind(
        "Staging sorts text by another locale, or another version of its rules, than the database"
        " that was dumped, so the check is skipped.",
        "Give staging production's image, or install its locale (`locale-gen`) there.",
    ),
    "corruption.found": Kind(
        "amcheck found a damaged index or table.",
        "`REINDEX` it; if that does not help, restore an older backup and look at the disk.",
    ),
    "query.result_differs": Kind(
        "A configured query returned another result than configured.",
        "Look at the query's rows, then at the data behind it.",
    ),
    "definition.missing": Kind(
        "An object that production had when the backup was taken is not in the restored database.",
        "Look at the errors of the restore, and at how the backup is made.",
    ),
    "definition.differs": Kind(
        "An object is defined differently than in production when the backup was taken.",
        "Look at the errors of the restore; if the backup holds this definition, do not trust it.",
    ),
    "definition.unexpected": Kind(
        "The restored database has an object that production did not have.",
        "Restore into an empty database; look at how the backup is made.",
    ),
    "owner.differs": Kind(
        "An object belongs to another role than in production when the backup was taken.",
        "Look at how the backup is made; whoever owns an object may change and drop it.",
    ),
    "privileges.differ": Kind(
        "Other roles may use an object, or may do other things with it, than in production when "
        "the backup was taken.",
        "Look at how the backup is made: `--no-privileges` leaves grants out. Where that is meant, "
        "ignore this finding.",
    ),
    "production.table_missing": Kind(
        "Production has a table that the backup does not have.",
        "If the table is older than the backup, the backup leaves something out: look at how it "
        "is made.",
    ),
    "previous.table_missing": Kind(
        "A table that the last drill that passed had is not in this backup. That proves nothing, so"
        " the check is skipped and not failed.",
        "If nobody removed the table or the tenant, look at how the backup is made.",
    ),
    "previous.rows_fell": Kind(
        "A table has far fewer rows than in the last drill that passed. That proves nothing, so the"
        " check is skipped and not failed.",
        "If nobody removed these rows, look at how the backup is made; a manifest or production's"
        " counts would show it for certain.",
    ),
    "api.response_differs": Kind(
        "A call to the API did not return what it must.",
        "Look at the backend's log; the finding has the status and the answer's beginning.",
    ),
    "isolation.way_out": Kind(
        "Staging's server or application stood where something leads out: in a network that is "
        "not internal, beside this host, or with a route.",
        "Let both stand in the closed network alone, as the role writes the compose file; look "
        "what the application may have sent meanwhile.",
    ),
    "isolation.connection": Kind(
        "A process of staging was connected to something beyond this host, or to production.",
        "Switch off in `staging_restore_backend_env` what made it, and look what was sent; or use "
        "the engine compose, whose network is closed.",
    ),
    "check.cut_off": Kind(
        "A check met a time limit or a lock, or its server ended. The verdict is could not verify.",
        "Read the error, give the server more time, room or memory, and run it again.",
    ),
    "check.error": Kind(
        "A check raised an error.",
        "Read the error; a failed read never reads as ok.",
    ),
}
