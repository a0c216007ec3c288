# -*- coding: utf-8 -*-
# Copyright (c) 2026, chefwell.resilience contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions as PostgreSQL prints them once they were dumped and restored.

A restore parses what was printed, and what it then prints may differ in some ways, which mean the
same. An array that is cast as a whole is read back with each element cast: so prints `x IN ('a',
'b')` of a varchar column (transformArrayExpr in parse_expr.c). And conditions that are nested
within others of the same kind are read back as one list: so prints `a BETWEEN 1 AND 5 AND b`
(makeAndExpr and makeOrExpr in gram.y). Rows of VALUES within a UNION are read back as a query
of their own, with a blank before. A literal that has no name where names do not matter, as in
EXISTS or a later part of a UNION, is printed with its type and is called by it from then on
(`NULL::integer AS int4`; FigureColname in parse_target.c). Last, `extract('YEAR' FROM …)` keeps its
capitals for one printing. Both sides of a comparison are brought to that form.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\]]""")
_CONNECTIVES = ("AND", "OR")
_CONNECTIVE = re.compile(r"\b(?:AND|OR)\b")
# What a restore may print otherwise.
_CHANGES = re.compile(r"\b(?:AND|OR)\b|\(ARRAY\[|\(\s+VALUES\b")
# A cast with a name after it, the field of EXTRACT, and before these all in which they are text.
_NAMED = re.compile(
    r"""'(?:[^']|'')*'|(?P<cast>::(?:(?:"(?:[^"]|"")*"|\w+)\.)?(?P<type>"(?:[^"]|"")*"|\w+"""
    r"(?: varying| precision)?)(?:\(\d+(?:,\d+)?\))?(?P<zone> with(?:out)? time zone)?(?:\[\])?)"
    r""" AS (?P<name>"(?:[^"]|"")*"|\w+)(?![\w$"])|\bEXTRACT\((?P<field>\w+) FROM|"(?:[^"]|"")*\""""
)
# What PostgreSQL calls types within, where it prints them by other names (format_type.c).
_INTERNAL = {
    **{"integer": "int4", "bigint": "int8", "smallint": "int2", "boolean": "bool"},
    **{"real": "float4", "double precision": "float8", "character varying": "varchar"},
    **{"character": "bpchar", "bit varying": "varbit", "time with time zone": "timetz"},
    **{"timestamp with time zone": "timestamptz", "time without time zone": "time"},
    "timestamp without time zone": "timestamp",
}
# The type of an array after a cast, without its brackets.
_ARRAY_CAST = re.compile(
    r"::("
    r'(?:(?:"(?:[^"]|"")*"|\w+)\.)?(?:"(?:[^"]|"")*"|\w+(?: varying| precision)?)'
    r"(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?"
    r")\[\]"
)
# The body of a function that is text, which PostgreSQL keeps as it is.
_BODY = "\nAS $"


@dataclasses.dataclass
class _Group:
    """What stands between two parentheses or brackets; in `parts`, texts and groups in turn."""

    mark: str
    parts: list[str | _Group] = dataclasses.field(default_factory=list)
    connective: str = ""
    text: str = ""


def canonical(definition: str) -> str:
    """Return a definition in the form that it has after a restore."""
    head, mark, body = definition.partition(_BODY)
    if (" AS " in head and "::" in head) or "EXTRACT(" in head:
        head = _NAMED.sub(_unnamed, head)
        definition = head + mark + body
    if not _CHANGES.search(head):
        return definition
    open_groups, at = [_Group("")], 0
    for found in _TOKEN.finditer(head):
        token = found[0]
        if token in "([":
            open_groups[-1].parts.append(head[at : found.start()])
            open_groups.append(_Group(token))
        elif token in ")]":
            group = open_groups.pop()
            group.parts.append(head[at : found.start()])
            if not open_groups or (group.mark == "(") != (token == ")"):
                return definition
            _finish(group)
            open_groups[-1].parts.append(group)
        else:
            continue
        at = found.end()
    if len(open_groups) > 1:
        return definition
    open_groups[0].parts.append(head[at:])
    _finish(open_groups[0])
    return open_groups[0].text + mark + body


def _unnamed(found: re.Match[str]) -> str:
    """Return a cast without the name that it has by itself, and a field in small letters."""
    if found["field"]:
        return found[0].lower().replace("extract(", "EXTRACT(").replace(" from", " FROM")
    if not found["cast"]:
        return found[0]
    of_type = found["type"].strip('"') + (found["zone"] or "")
    own = _INTERNAL.get(of_type, of_type)
    return str(found["cast"]) if found["name"].strip('"') == own else found[0]


def _finish(group: _Group) -> None:
    """Set the connective and the text of a group, whose own groups are finished."""
    parts = group.parts
    texts = [_unquoted(part) for part in parts if isinstance(part, str)]
    connectives = {word for text in texts for word in _CONNECTIVE.findall(text)}
    if group.mark == "(" and len(connectives) == 1:
        (group.connective,) = connectives
    made = [
        part if isinstance(part, str) else _rendered(parts, number, group.connective)
        for number, part in enumerate(parts)
    ]
    if group.mark == "(" and made[0].lstrip().startswith("VALUES "):
        made[0] = made[0].lstrip()
    for number, part in enumerate(parts):
        if not isinstance(part, str) and _is_array(part):
            # Brackets and the length of a type are groups of their own.
            cast = _ARRAY_CAST.match("".join(made[number + 1 : number + 6]))
            if cast:
                made[number] = _each_cast(part.text, cast[1])
                _drop(made, number + 1, cast.end())
    group.text = "".join(made)


def _rendered(parts: list[str | _Group], number: int, connective: str) -> str:
    group = parts[number]
    if isinstance(group, str):
        return group
    if group.mark == "[":
        return f"[{group.text}]"
    same = group.connective and group.connective == connective
    return group.text if same and _alone(parts, number) else f"({group.text})"


def _drop(texts: list[str], start: int, count: int) -> None:
    """Remove the first characters of some texts, as if they were one."""
    for number in range(start, len(texts)):
        taken = min(count, len(texts[number]))
        texts[number] = texts[number][taken:]
        count -= taken


def _alone(parts: list[str | _Group], number: int) -> bool:
    """Return whether a group is all that stands between two connectives."""
    before, after = parts[number - 1], parts[number + 1]
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    first, last = number == 1, number == len(parts) - 2
    left, right = before.strip(), after.strip()
    return (
        _CONNECTIVE.fullmatch(left.rpartition(" ")[2]) is not None or (first and not left)
    ) and (_CONNECTIVE.fullmatch(right.partition(" ")[0]) is not None or (last and not right))


def _is_array(group: _Group) -> bool:
    return [part if isinstance(part, str) else part.mark for part in group.parts] == [
        *("ARRAY", "[", "")
    ]


def _each_cast(array: str, to: str) -> str:
    """Return `ARRAY[…]` with each element cast, also those of arrays in it."""
    inner = array[len("ARRAY[") : -1]
    elements = (
        _each_cast(one, to) if one.startswith("ARRAY[") and one.endswith("]") else f"({one})::{to}"
        for one in _elements(inner)
    )
    return f"ARRAY[{', '.join(elements)}]" if inner.strip() else array


def _elements(text: str) -> Iterator[str]:
    """Yield the elements of an array constructor, which are separated by commas."""
    start = depth = 0
    for found in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\],]""", text):
        if found[0] in "([":
            depth += 1
        elif found[0] in ")]":
            depth -= 1
        elif found[0] == "," and depth == 0:
            yield text[start : found.start()].strip()
            start = found.end()
    yield text[start:].strip()


def _unquoted(text: str) -> str:
    return re.sub(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""", "x", text)
