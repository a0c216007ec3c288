"""A strict parser of Prometheus' text exposition format, version 0.0.4.

Source: prometheus.io/docs/instrumenting/exposition_formats. It accepts less than the format allows
in white space, and nothing that the format does not allow.
"""

from __future__ import annotations

import dataclasses
import re

NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
VALUE = r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|Inf)|NaN"
PAIR = re.compile(rf'({LABEL})="((?:[^\\"\n]|\\[\\"n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ({VALUE})")
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\[\\n])*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram|summary|untyped)")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclasses.dataclass
class Family:
    """One metric: its type, its help and its samples by labels."""

    type: str = ""
    help: str | None = None
    samples: dict[tuple[tuple[str, str], ...], float] = dataclasses.field(default_factory=dict)


def _labels(text: str) -> tuple[tuple[str, str], ...] | None:
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        if position and text[position] == ",":
            position += 1
        pair = PAIR.match(text, position)
        if not pair:
            return None
        value = re.sub(r"\\.", lambda found: ESCAPES[found[0]], pair[2])
        pairs.append((pair[1], value))
        position = pair.end()
    names = [name for name, _value in pairs]
    return tuple(sorted(pairs)) if len({*names}) == len(names) else None


def families(text: str) -> dict[str, Family]:
    """Return the metrics of a textfile, by name.

    Raises:
        ValueError: it does not follow the format; names the line.
    """
    found: dict[str, Family] = {}
    last = ""
    if text and not text.endswith("\n"):
        raise ValueError("the last line has no line feed")
    for number, line in enumerate(text.splitlines(), 1):
        wrong = ValueError(f"line {number}: {line}")
        help_, type_, sample = (form.fullmatch(line) for form in (HELP, TYPE, SAMPLE))
        matched = help_ or type_ or sample
        if not matched:
            raise wrong
        name = matched[1]
        if name != last and name in found:
            raise wrong  # the lines of a metric stand together
        last, family = name, found.setdefault(name, Family())
        if help_:
            if family.help is not None or family.type:
                raise wrong
            family.help = help_[2]
        elif type_:
            if family.type or family.samples:
                raise wrong
            family.type = type_[2]
        elif sample:
            labels = _labels(sample[2] or "")
            if not family.type or labels is None or labels in family.samples:
                raise wrong
            family.samples[labels] = float(sample[3])
    return found
