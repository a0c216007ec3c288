#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether the system in production works."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: system_checkpoint
short_description: Check whether the system in production works, item by item
version_added: "1.0.0"
description:
  - Checks up to seven items. Login works, a test order can be made and taken back,
    products load, the dashboard shows stats, the backend's logs hold no new error, PostgreSQL
    answers, and what runs in Docker runs whole.
  - An item whose target is not given is skipped and says so. Skipped is never passed, and what
    could not be checked is V(unknown), never V(passed).
  - The module fails unless every item that was checked passed, and names those that did not.
  - Nothing is changed, except by O(test_order). Nothing secret is returned.
author:
  - chefwell.resilience contributors (@chefwell)
extends_documentation_fragment:
  - chefwell.resilience.attributes
options:
  items:
    description:
      - The items to check.
    type: list
    elements: str
    choices: [login, pos, products, dashboard, logs, postgres, services]
    default: [login, pos, products, dashboard, logs, postgres, services]
  api_url:
    description:
      - Where the API is, for C(login), C(pos), C(products) and C(dashboard).
    type: str
    default: ""
  api_email:
    description:
      - The user who logs in.
    type: str
    default: ""
  api_password:
    description:
      - The password.
    type: str
    default: ""
  api_verify_tls:
    description:
      - Whether the certificate of O(api_url) must be valid.
    type: bool
    default: true
  api_steps:
    description:
      - Requests that stand in for ChefWell's own, by C(id), one of C(login), C(products),
        C(dashboard), C(order_create), C(order_delete) and C(order_find). Each has C(path), and may
        have C(method), C(headers), C(json), C(status), C(capture), C(present), C(equals) and
        C(least).
    type: list
    elements: dict
    default: []
  test_order:
    description:
      - Whether the item C(pos) makes an order, with a note that says where it comes from, and
        deletes it. Not in check mode.
    type: bool
    default: false
  services:
    description:
      - What must run in Docker. A string is the name of a Swarm service, of which all replicas must
        run. A dictionary has C(kind) (C(swarm), C(container) or C(compose)) and C(name). Names may
        hold C(*); a compose project's is C(project) or C(project/service).
    type: list
    elements: raw
    default: []
  log_sources:
    description:
      - The services whose logs must hold no error, as in O(services).
    type: list
    elements: raw
    default: []
  log_pattern:
    description:
      - Regular expression (Python) of a line that is an error.
      - Without one the level that a line states decides, else its words.
    type: str
    default: ""
  log_ignore:
    description:
      - Regular expressions of lines that are no errors all the same.
    type: list
    elements: str
    default: []
  log_seconds:
    description:
      - How far back the logs are read where O(since) is not given.
    type: float
    default: 300
  since:
    description:
      - Unix time on the host from which errors in the logs, and tasks that failed, count. Give the
        RV(began) of an earlier checkpoint.
    type: float
  postgres:
    description:
      - How PostgreSQL is queried. O(postgres.container), O(postgres.user) and
        O(postgres.dbname), to query with C(psql) in its own container; or all but
        O(postgres.container), over the network.
    type: dict
    default: {}
    suboptions:
      container:
        description:
          - The service that runs it, as in O(services).
        type: raw
      host:
        description:
          - Its address, or the folder of its socket.
        type: str
      port:
        description:
          - Its port, V(5432) when left out.
        type: int
      user:
        description:
          - The role to connect as.
        type: str
      password:
        description:
          - The password.
        type: str
      dbname:
        description:
          - The database.
        type: str
  docker_url:
    description:
      - Where Docker listens. Left empty, what the host's environment says, else its usual socket.
    type: str
    default: ""
  time_limit:
    description:
      - Seconds for one response.
    type: float
    default: 10
  tries:
    description:
      - How often an item that did not pass is checked.
    type: int
    default: 3
  retry_seconds:
    description:
      - The pause between two tries.
    type: float
    default: 2
  report_only:
    description:
      - Whether to return the result whatever it is, instead of failing.
    type: bool
    default: false
requirements:
  - docker (Python), for C(services), C(log_sources) and a C(container) of O(postgres)
  - psycopg2, for PostgreSQL over the network
"""

EXAMPLES = r"""
- name: Check that the system works before the change
  chefwell.resilience.system_checkpoint:
    api_url: https://api.chefwell.pro
    api_email: admin@chefwell.pro
    api_password: "{{ vault_checkpoint_password }}"
    services: [chefwell_*]
    log_sources: [chefwell_backend]
    postgres:
      container: chefwell_postgres
      user: postgres
      dbname: restaurante
  register: before

- name: Check that it still works
  chefwell.resilience.system_checkpoint:
    services:
      - kind: compose
        name: chefwell
    log_sources:
      - kind: container
        name: chefwell-backend
    since: "{{ before.began }}"
"""

RETURN = r"""
status:
  description: V(passed), V(failed), V(unknown), or V(skipped) when nothing was checked.
  returned: always
  type: str
  sample: passed
message:
  description: What did not pass, in one line.
  returned: always
  type: str
  sample: 6 of 7 items checked, all passed
checks:
  description: Every item in the plan's order.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Its name.
      type: str
    title:
      description: What it checks.
      type: str
    status:
      description: V(passed), V(failed), V(unknown) or V(skipped).
      type: str
    evidence:
      description: Its evidence.
      type: str
    findings:
      description: Everything that is wrong, each with C(id) (the item's), C(subject) and C(text).
      type: list
      elements: dict
    seconds:
      description: How long the check took.
      type: float
began:
  description: Unix time at which this checkpoint began, on the host.
  returned: always
  type: float
  sample: 1763649000.5
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.checkpoint import checkpoint, checkpoint_settings
from ..module_utils.common.errors import ResilienceError
from ..module_utils.common.settings import parse


def main() -> None:
    """Argument spec, engine call, result."""
    items = list(checkpoint_settings.ITEMS)
    module = AnsibleModule(
        argument_spec={
            "items": {"type": "list", "elements": "str", "choices": items, "default": items},
            "api_url": {"type": "str", "default": ""},
            "api_email": {"type": "str", "default": ""},
            "api_password": {"type": "str", "default": "", "no_log": True},
            "api_verify_tls": {"type": "bool", "default": True},
            "api_steps": {"type": "list", "elements": "dict", "default": []},
            "test_order": {"type": "bool", "default": False},
            "services": {"type": "list", "elements": "raw", "default": []},
            "log_sources": {"type": "list", "elements": "raw", "default": []},
            "log_pattern": {"type": "str", "default": ""},
            "log_ignore": {"type": "list", "elements": "str", "default": []},
            "log_seconds": {"type": "float", "default": 300},
            "since": {"type": "float"},
            "postgres": {
                "type": "dict",
                "default": {},
                "options": {
                    "container": {"type": "raw"},
                    "host": {"type": "str"},
                    "port": {"type": "int"},
                    "user": {"type": "str"},
                    "password": {"type": "str", "no_log": True},
                    "dbname": {"type": "str"},
                },
            },
            "docker_url": {"type": "str", "default": ""},
            "time_limit": {"type": "float", "default": 10},
            "tries": {"type": "int", "default": 3},
            "retry_seconds": {"type": "float", "default": 2},
            "report_only": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    options = dict(module.params)
    report_only = options.pop("report_only")
    since = options.pop("since")
    # What was left out is there as None.
    given = options["postgres"]
    options["postgres"] = {name: value for name, value in given.items() if value is not None}
    try:
        settings = parse(options, checkpoint_settings.CheckpointSettings)
        result = checkpoint.run(settings, since=since, read_only=module.check_mode).to_dict()
    except ResilienceError as error:
        module.fail_json(msg=str(error))
    if result["status"] in ("failed", "unknown") and not report_only:
        module.fail_json(msg=result["message"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
