"""The project has one word for one thing: what it once said otherwise does not come back."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A word that is not used, and what is written in its place.
INSTEAD = {
    "told|tell|tells|telling|said": "notify, show, distinguish",
    "ask|asks|asked|asking|asker": "request, demand, query, check",
    "question|questions|questioned|questioning": "check, query, request",
    "spoken|speak|speaks": "the protocol or language by its name",
    "keeper|keepers": "server, gate, retention, holder",
    "settle|settles|settled|mend|mends|mended|mending": "place, fix, repair",
    "came to|comes to|came of|comes of": "result",
    "ours|theirs|somebody else|somebody else's|nobody else": "whose it is",
    "he|his|him|himself|thief": "they, the owner, an attacker",
    "want|wants|wanted": "requested, needed, required",
    "played|broke off|breaks off|hold a drill|holds a drill|held a drill": "simulated, failed, run",
}
# Where one of them is the right word.
ALLOWED = {
    ".github/ISSUE_TEMPLATE/feature.yml": "What you want",
    "Makefile": "/ - /",  # a backslash and a letter of sed's
}
# The owner's plan to the letter; changes of the past, with old names beside new ones; this file.
LEFT_OUT = (
    r"docs/plan-coverage\.md|tests/plan/.*\.md|changelogs/.*|CHANGELOG\.md|LICENSE|"
    + re.escape(Path(__file__).relative_to(ROOT).as_posix())
)
TEXT = (".py", ".md", ".yml", ".yaml", ".j2", ".sh", ".toml", "Makefile")


_WRONG = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(f'({words})' for words in INSTEAD)})(?![^\W_])(?!-)", re.IGNORECASE
)
_RIGHT = [*INSTEAD.values()]


def wrong_words(text: str) -> list[tuple[int, str, str]]:
    """Return line, word and what to write instead, of each wrong word; also of parts of names."""
    return [
        (text.count("\n", 0, match.start()) + 1, match[0], _RIGHT[(match.lastindex or 1) - 1])
        for match in _WRONG.finditer(text)
    ]


def test_each_thing_has_one_word() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    found = []
    for name in listed:
        path = ROOT / name
        if not name.endswith(TEXT) or re.fullmatch(LEFT_OUT, name) or not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [
            f"{name}:{line}: {word!r}, write: {instead}"
            for line, word, instead in wrong_words("\n".join(lines))
            if ALLOWED.get(name, "\0") not in lines[line - 1]
        ]
    assert found == []


def test_a_wrong_word_is_found_in_text_and_in_names() -> None:
    text = "a mended line\nwanted_path = _asked\nThis came\nto nothing; unasked, retold, wants-more"
    assert [(line, word) for line, word, _ in wrong_words(text)] == [
        (1, "mended"),
        (2, "wanted"),
        (2, "asked"),
    ]
