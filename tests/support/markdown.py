"""Code blocks of Markdown pages, and the commands that a page shows."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"(?:^\*\*(?P<title>[^*\n]+?):\*\*\n+)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# A command in the middle of a sentence or in a table.
_COMMAND = re.compile(r"`((?:[a-z-]+\.sh|ansible-playbook|make|ssh-keyscan|tar)(?: [^`]+)?)`")


@dataclasses.dataclass(frozen=True)
class CodeBlock:
    """A fenced block of a page.

    Attributes:
        title: the text of the bold line `**...:**` right above it; empty where there is none.
        language: the word behind the opening fence, which may be empty.
        text: what stands between the fences, with the last line's end.
    """

    title: str
    language: str
    text: str

    @property
    def name(self) -> str:
        """The first line, without a comment behind it."""
        return re.split(r"\s+#", self.text.splitlines()[0])[0].strip()


def code_blocks(text: str, language: str | None = None) -> list[CodeBlock]:
    """The blocks of a Markdown text in their order; of one language only if it is given."""
    return [
        CodeBlock(match["title"] or "", match["language"], match["text"])
        for match in _BLOCK.finditer(text)
        if language is None or match["language"] == language
    ]


def page_blocks(page: str, language: str | None = None) -> list[CodeBlock]:
    """As `code_blocks`, of a page by its path in the checkout."""
    return code_blocks((ROOT / page).read_text(encoding="utf-8"), language)


def examples(page: str) -> dict[str, str]:
    """What a page shows to be typed or pasted, word for word.

    Args:
        page: its path in the checkout.

    Returns:
        Blocks of YAML by their first line, and commands by themselves without the comment behind
        them: each line of any other block, and each command in the text.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in code_blocks(text):
        if block.language == "yaml":
            found[block.text.splitlines()[0]] = block.text
        else:
            for line in filter(str.strip, block.text.splitlines()):
                found[re.split(r"\s{2,}", line)[0]] = line
    for command in _COMMAND.findall(_BLOCK.sub("", text).replace("\\|", "|")):
        found.setdefault(" ".join(command.split()), command)
    return found
