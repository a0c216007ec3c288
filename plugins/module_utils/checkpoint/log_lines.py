# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines of a log are errors: by the level that a line states, else by its words.

A line states its level as JSON (pino, winston, GELF), as `level=error` (logfmt), in brackets
or in capitals before its message (NestJS, PostgreSQL, nginx, log4j), or as its first word with a
colon. Without a level words decide: `errorHandler`, `0 errors` and `"error": null` are no errors,
`panic`, `FATAL` and a traceback are.
"""

from __future__ import annotations

import re
from typing import Any

from ..common import json_text

# Names of levels; what is in neither set is no level.
_ERRORS = {
    *("error", "err", "eror", "erro", "fatal", "ftl", "critical", "crit", "crt", "panic", "pnc"),
    *("alert", "emerg", "emergency", "severe", "dpanic"),
}
_OTHERS = {
    *("trace", "trc", "verbose", "silly", "finest", "finer", "fine", "debug", "dbg"),
    *("debug1", "debug2", "debug3", "debug4", "debug5"),
    *("info", "inf", "information", "informational", "notice", "log"),
    *("warn", "warning", "wrn"),
}
_LEVELS = _ERRORS | _OTHERS
_LEVEL_KEYS = ("level", "severity", "lvl", "levelname", "loglevel", "log_level", "log.level", "@l")
_TEXT_KEYS = ("msg", "message", "@m", "text", "event")
_ERROR_KEYS = ("error", "err", "exception", "stack", "stacktrace", "stack_trace")
# Numbers of pino and bunyan begin at 10; smaller ones are those of syslog, where 3 is an error.
_LEAST_ERROR, _SYSLOG_END, _SYSLOG_ERROR = 50, 10, 3

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LOGFMT = re.compile(r"(?:^|[\s,{(])(?:level|lvl|severity|loglevel|log_level)=\"?([A-Za-z]+)\"?")
_BRACKETS = re.compile(r"[\[<(]\s*([A-Za-z]+[0-9]?)\s*[\])>]")
_CAPITALS = re.compile(r"(?<![\w\"'/.=-])([A-Z]{3,12}[0-9]?)(?![\w\"'/.=(-])")
_FIRST_WORD = re.compile(r"^\s*([A-Za-z]{3,12}):(?=\s)")
# klog and glog: `E0102 15:04:05.000000`.
_KLOG = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
# Monolog: `[2025-11-20T03:00:00] production.ERROR: text`. .NET: `fail: Shop.Orders[0]`.
_MONOLOG = re.compile(r"^\[[^\]]*\]\s[\w-]+\.([A-Z]{4,9}):(?=\s)")
_DOTNET = re.compile(r"^(trce|dbug|info|warn|fail|crit): [\w.]+\[\d+\]")
# Where a level stands, if the line has one: after times, host, program and process number.
_HEAD = 120

_NOTHING = r"(?:0+(?:\.0+)?%?|null|none|nil|false|no|undefined|\"\"|''|\[\]|\{\})"
# What holds the word and means none.
_HARMLESS = re.compile(
    r"\b(?:0|no|zero|without|nenhum|sem|nem)\s+(?:\w+\s+)?(?:errors?|erros?|failures?)\b"
    r"|\b(?:errors?|erros?|failures?)(?:[ _-]?(?:count|rate|total|s))?[\"']?\s*[:=]\s*"
    + _NOTHING
    + r"(?![\w.])"
    r"|\b(?:errors?|erros?)\s+(?:0|none|nenhum)\b",
    re.IGNORECASE,
)
# Not within an identifier, a file name or an address: errorHandler, error_log, /error.html.
_WORDS = re.compile(
    r"(?<![\w./-])(?:errors?|erros?|fatal|panic|panicked|uncaught|unhandled|segfault"
    r"|segmentation fault|out of memory|core dumped)(?![\w/-]|\.\w)"
    r"|\bTraceback \(most recent call last\)",
    re.IGNORECASE,
)
# TypeError: …, QueryFailedError: …, java.lang.NullPointerException: …
_CLASSES = re.compile(r"(?<![\w/-])[\w.]*[a-z](?:Error|Exception)(?=[:\s\[(]|$)")


def is_error(line: str) -> bool:
    """Return whether a line of a log reports an error."""
    line = _COLOURS.sub("", line).strip()
    fields = _json_fields(line)
    if fields is not None:
        return _is_error_record(fields)
    level = _level(line)
    if level is not None:
        return level
    return _has_error_words(line)


def _has_error_words(text: str) -> bool:
    rest = _HARMLESS.sub(" ", text)
    return bool(_WORDS.search(rest) or _CLASSES.search(rest))


def _level(line: str) -> bool | None:
    """Return whether the level that a line states is one of an error; None if it states none."""
    klog = _KLOG.match(line)
    if klog:
        return klog.group(1) in "EF"
    dotnet = _DOTNET.match(line)
    if dotnet:
        return dotnet.group(1) in ("fail", "crit")
    monolog = _MONOLOG.match(line)
    if monolog:
        return monolog.group(1).lower() in _ERRORS
    found = [(match.start(), match.group(1).lower()) for match in _LOGFMT.finditer(line)]
    if not found:
        head = line[:_HEAD]
        for pattern in (_FIRST_WORD, _BRACKETS, _CAPITALS):
            found += [(match.start(), match.group(1).lower()) for match in pattern.finditer(head)]
    # The first one counts: later ones belong to the message.
    levels = [name for _place, name in sorted(found) if name in _LEVELS]
    return levels[0] in _ERRORS if levels else None


def _json_fields(line: str) -> dict[str, Any] | None:
    """Return the fields of a line that is JSON, after a time or a container's name, too."""
    begin = line.find("{")
    if begin < 0 or not line.endswith("}"):
        return None
    try:
        fields = json_text.loads(line[begin:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    known = {*_LEVEL_KEYS, *_TEXT_KEYS, *_ERROR_KEYS}
    # Of any other object, such as a response that was logged, the whole line is read.
    if begin and not known & {str(name).lower() for name in fields}:
        return None
    return {str(name).lower(): value for name, value in fields.items()}


def _is_error_record(fields: dict[str, Any]) -> bool:
    for key in _LEVEL_KEYS:
        value = fields.get(key)
        if isinstance(value, dict):
            value = value.get("name", value.get("level"))
        if isinstance(value, str) and value.strip().isdigit():
            value = int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value <= _SYSLOG_ERROR if value < _SYSLOG_END else value >= _LEAST_ERROR
        if isinstance(value, str) and value.strip().lower() in _LEVELS:
            return value.strip().lower() in _ERRORS
    if any(_states_error(fields.get(key)) for key in _ERROR_KEYS):
        return True
    return any(_has_error_words(str(fields[key])) for key in _TEXT_KEYS if fields.get(key))


def _states_error(value: Any) -> bool:
    """Return whether the field of an error says that there was one."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "null", "none", "nil", "false", "no")
    return bool(value)
