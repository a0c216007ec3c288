# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of options that modules which install share."""

from __future__ import annotations


class ModuleDocFragment:
    """Entries of a crontab (`installing.crontab`) and files with a text (`installing.texts`)."""

    CRONTAB = r"""
options:
  cron_entries:
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the entry, in the comment above it.
        type: str
        required: true
      job:
        description:
          - Command that it runs. Its first word is a path, which identifies the line.
        type: str
        required: true
      minute:
        description:
          - Minute field.
        type: str
        default: "*"
      hour:
        description:
          - Hour field.
        type: str
        default: "*"
      weekday:
        description:
          - Field of the day of the week.
        type: str
        default: "*"
      state:
        description:
          - Whether the entry exists. On a host without cron there is none to remove.
        type: str
        choices: [present, absent]
        default: present
"""

    TEXTS = r"""
options:
  texts:
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Where the file goes.
        type: path
        required: true
      content:
        description:
          - Its content. It is in a diff unless O(texts[].mode) lets its owner alone read it.
        type: str
        required: true
      mode:
        description:
          - Its permissions, such as C("0600").
        type: str
        required: true
      keep:
        description:
          - Whether an existing file keeps its content.
        type: bool
        default: false
      unless:
        description:
          - For a file that is made once and never again, a path that is there from the first time
            on. Such a file is not made where its folder is missing. Empty for other files.
        type: str
        default: ""
"""
