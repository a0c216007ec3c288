#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a restored database and the API over it, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: restore_validate
short_description: Validate a restored PostgreSQL database and the API over it
version_added: "1.0.0"
description:
  - Reads what a backup holds from the backup's own table of contents and rows, and checks that a
    restored database holds all of it - every schema, table, row count, key, index, constraint and
    sequence, over all schemas. With a manifest beside the backup, the definition of every object
    and the content of every table are compared, too.
  - Given the address of a backend over that database, it also logs in as each user, calls the API,
    and compares the counts with the database.
  - The database is opened read-only and nothing is changed. The name does not end in C(_info)
    because the module judges. The task fails for a failed check only if O(fail_on) says so.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  backup:
    description:
      - The backup that was restored, as C(pg_dump) made it, compressed or not. It is decoded in
        full.
      - Rows and content are compared with the manifest that C(backup-manifest) wrote beside it, if
        there is one.
    type: path
    required: true
  bin_dir:
    description:
      - Folder of PostgreSQL's programs. The newest installation when left out.
    type: path
  work_dir:
    description:
      - Folder with room for the unpacked backup, which is removed again.
      - Left out, the module's own temporary folder.
    type: path
  login_host:
    description:
      - Host name, address, or socket folder of the restored database's server.
    type: str
    default: 127.0.0.1
  login_port:
    description:
      - Port of that server.
    type: int
    default: 5433
  login_user:
    description:
      - A user who may read everything.
    type: str
    default: postgres
  login_password:
    description:
      - That user's password.
    type: str
    default: ""
  login_db:
    description:
      - The restored database.
    type: str
    required: true
  tenant_query:
    description:
      - SQL that returns the schema name of every tenant. Without it, the check C(tenants) is
        skipped.
    type: str
  tenant_prefix:
    description:
      - Prefix of the schemas of tenants.
    type: str
    default: tenant_
  foreign_keys:
    description:
      - Which foreign keys are followed row by row. PostgreSQL has proved the others while
        restoring.
    type: str
    choices: [not_valid, all]
    default: not_valid
  queries:
    description:
      - Further checks. Each has C(name), C(sql), optionally C(title), and C(rows), the rows that it
        must return; without C(rows) at least one row.
    type: list
    elements: dict
    default: []
  amcheck:
    description:
      - Whether every B-tree index is checked block by block. Skipped where the extension amcheck is
        not installed.
    type: bool
    default: false
  ignore_findings:
    description:
      - Findings to ignore. Each has C(finding) (an identifier of C(docs/findings.md), with C(*)
        and C(?)), C(reason), and optionally C(subject). They stay in the result, in the check's
        C(ignored), and the check is skipped.
    type: list
    elements: dict
    default: []
  api_url:
    description:
      - Address of the backend. Without it, the checks of the API are skipped.
    type: str
  api_users:
    description:
      - Users that log in.
    type: list
    elements: dict
    default: []
    suboptions:
      email:
        description:
          - Value of C({email}) in O(api_steps).
        type: str
        required: true
      password:
        description:
          - Value of C({password}) in O(api_steps).
        type: str
        required: true
      schema:
        description:
          - Schema of the user's tenant. Counts that the API returns are compared with its tables.
        type: str
        required: true
      values:
        description:
          - Further names and their values.
        type: dict
        default: {}
  api_steps:
    description:
      - Calls of each user, in order. ChefWell's own steps when left out.
    type: list
    elements: dict
    default: []
  api_time_limit:
    description:
      - Seconds that one call may take.
    type: float
    default: 10
  fail_on:
    description:
      - When the task fails - V(never), when a check V(failed), or when one did V(not_pass), which
        includes skipped checks.
    type: str
    choices: [never, failed, not_pass]
    default: never
requirements:
  - psycopg2
  - PostgreSQL's server programs, as new as those that made the backup
"""

EXAMPLES = r"""
- name: Validate a restored database
  chefwell.resilience.restore_validate:
    backup: /root/backups/daily/chefwell_backup_20251120_030000.dump.gz
    login_host: 127.0.0.1
    login_port: 5433
    login_password: "{{ staging_password }}"
    login_db: restaurante_staging
    tenant_query: SELECT schema_name FROM public.companies
    api_url: http://127.0.0.1:3001
    api_users:
      - email: admin@chefwell.pro
        password: "{{ test_user_password }}"
        schema: tenant_chefwell
    fail_on: failed
  register: validation

- name: Show the confidence
  ansible.builtin.debug:
    var: validation.confidence
"""

RETURN = r"""
checks:
  description:
    - One entry per check, with C(id), C(title), C(status) (V(passed), V(failed), V(skipped)),
      C(evidence), C(seconds), C(findings), each with C(id), C(subject) and C(text), and C(ignored),
      the same with the C(reason).
      C(evidence_message) and C(text_message) are the same texts as a message with its values, from
      which pages make the text in their language.
  returned: success
  type: list
  elements: dict
  sample:
    - id: foreign_keys
      title: Foreign keys
      status: passed
      evidence: 901/901 foreign keys
      seconds: 0.01
      findings: []
      ignored: []
passed_checks:
  description: How many checks passed.
  returned: success
  type: int
failed_checks:
  description: How many checks failed (Ansible's own C(failed) is about the task).
  returned: success
  type: int
skipped_checks:
  description: How many checks were skipped. They are never counted as passed.
  returned: success
  type: int
confidence:
  description: Share of the checks that passed, percent.
  returned: success
  type: float
  sample: 100.0
schemas:
  description: Every schema with its tables, their rows, and the counts of keys and indexes.
  returned: success
  type: list
  elements: dict
totals:
  description: The same over all schemas.
  returned: success
  type: dict
called_schema:
  description: The tenant of the first user; empty where nobody logs in.
  returned: success
  type: str
api:
  description: Result of each call of the first user.
  returned: success
  type: list
  elements: dict
seconds:
  description: Duration of all checks, seconds.
  returned: success
  type: float
"""

import importlib.util
import tempfile

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils.backup import archive, backup_digest, expectation, manifest
from ..module_utils.checks import findings
from ..module_utils.common.errors import ResilienceError
from ..module_utils.database import postgres
from ..module_utils.validation import api_probe, check_context, restore_validation

# The engine imports it when it connects.
HAS_PSYCOPG2 = importlib.util.find_spec("psycopg2") is not None


def _expected(backup: str, folder: str, binaries: postgres.Binaries) -> expectation.Expectation:
    """Return what the database must hold; the backup's table of contents is not kept."""
    ready = archive.prepare(backup, folder, binaries)
    expected = expectation.from_entries(ready.toc.entries, ready.rows)
    known = manifest.read(backup)
    if known:
        backup_digest.verify_digest(backup, known.sha256, "its manifest")
        manifest.apply(known, expected)
    return expected


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "backup": {"type": "path", "required": True},
            "bin_dir": {"type": "path"},
            "work_dir": {"type": "path"},
            "login_host": {"type": "str", "default": "127.0.0.1"},
            "login_port": {"type": "int", "default": 5433},
            "login_user": {"type": "str", "default": "postgres"},
            "login_password": {"type": "str", "default": "", "no_log": True},
            "login_db": {"type": "str", "required": True},
            "tenant_query": {"type": "str"},
            "tenant_prefix": {"type": "str", "default": "tenant_"},
            "foreign_keys": {
                "type": "str",
                "choices": ["not_valid", "all"],
                "default": "not_valid",
            },
            "queries": {"type": "list", "elements": "dict", "default": []},
            "amcheck": {"type": "bool", "default": False},
            "ignore_findings": {"type": "list", "elements": "dict", "default": []},
            "api_url": {"type": "str"},
            "api_users": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "email": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                    "schema": {"type": "str", "required": True},
                    "values": {"type": "dict", "default": {}},
                },
            },
            "api_steps": {"type": "list", "elements": "dict", "default": []},
            "api_time_limit": {"type": "float", "default": 10},
            "fail_on": {
                "type": "str",
                "choices": ["never", "failed", "not_pass"],
                "default": "never",
            },
        },
        supports_check_mode=True,
    )
    if not HAS_PSYCOPG2:
        module.fail_json(msg=missing_required_lib("psycopg2"))
    options = module.params
    try:
        ignored = findings.ignore_rules(options["ignore_findings"])
        api = None
        if options["api_url"]:
            api = api_probe.Api(
                options["api_url"],
                [{**user.pop("values"), **user} for user in options["api_users"]],
                options["api_steps"] or api_probe.STEPS,
                options["api_time_limit"],
            )
        server = postgres.Server(
            options["login_host"],
            options["login_port"],
            options["login_user"],
            options["login_password"],
            postgres.find_binaries(options["bin_dir"]),
        )
        with tempfile.TemporaryDirectory(dir=options["work_dir"] or module.tmpdir) as folder:
            result = restore_validation.validate_restore(
                server.dsn(options["login_db"]),
                _expected(options["backup"], folder, server.binaries),
                check_context.ValidationSettings(
                    tenant_query=options["tenant_query"],
                    tenant_prefix=options["tenant_prefix"],
                    foreign_keys=options["foreign_keys"],
                    queries=options["queries"],
                    amcheck=options["amcheck"],
                    ignore=ignored,
                ),
                api,
                featured_schema=options["api_users"][0]["schema"] if options["api_users"] else "",
            )
    except ResilienceError as error:
        module.fail_json(msg=str(error))
    # Ansible has keys `failed` and `skipped` about the task, so the counts have other names.
    for count in ("passed", "failed", "skipped"):
        result[f"{count}_checks"] = result.pop(count)
    fatal = {"never": (), "failed": ("failed",), "not_pass": ("failed", "skipped")}
    bad = [check for check in result["checks"] if check["status"] in fatal[options["fail_on"]]]
    if bad:
        named = "; ".join(f"{check['id']}: {check['evidence']}" for check in bad)
        module.fail_json(msg=f"{len(bad)} checks did not pass: {named}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
