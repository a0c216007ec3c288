"""What a page of the documentation shows to be typed or pasted: its examples, word for word."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What is typed, in the middle of a sentence or in a table.
_TYPED = re.compile(r"`((?:[a-z-]+\.sh|ansible-playbook|make|ssh-keyscan|tar)(?: [^`]+)?)`")


def examples(page: str) -> dict[str, str]:
    """A page's examples.

    Args:
        page: its path in the checkout.

    Returns:
        By what each is called here: a command by itself, without the comment behind it; a block of
        YAML by its first line. Any other kind of block is cut into lines, each of them a command.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for language, body in _BLOCK.findall(text):
        if language == "yaml":
            found[body.splitlines()[0]] = body
        else:
            for line in filter(str.strip, body.splitlines()):
                found[re.split(r"\s{2,}", line)[0]] = line
    for command in _TYPED.findall(_BLOCK.sub("", text).replace("\\|", "|")):
        found.setdefault(" ".join(command.split()), command)
    return found
