"""Reads the owner's plan: its tests T1.1 to T3.8, word for word, and what else it names.

A test is a heading such as `**T1.4 - Cron Job Instalado:**` with one shell block after it. A block
is cut into commands where a shell would: at the end of a line that completes one.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import subprocess
from pathlib import Path

from support.markdown import code_blocks

PLAN = Path(__file__).resolve().with_name("implementation-plan.pt-BR.md")
STAGES = (1, 2, 3)
# The titles of the plan's blocks; those of its tests begin with their identifier.
_TEST = re.compile(r"(T\d\.\d) - (.+)")
_PAGES = ("Saída esperada", "Relatório de Validação")
_STAGE = re.compile(r"^## 🎯 ETAPA (\d):", re.MULTILINE)
_FILLED = re.compile(r"<[\w-]+>")


@dataclasses.dataclass(frozen=True)
class PlanTest:
    """One test of the plan.

    Attributes:
        id: such as `T1.4`.
        title: the plan's.
        block: the shell block, as it stands there.
        commands: its commands in order, without comments.
        expected: what its `# Verificar:` line expects; empty if there is none.
    """

    id: str
    title: str
    block: str
    commands: tuple[str, ...]
    expected: str

    @property
    def stage(self) -> int:
        """The stage that it belongs to."""
        return int(self.id[1])


@dataclasses.dataclass(frozen=True)
class Block:
    """A shell block that is no test: what the plan shows on the way, or a rollback.

    Attributes:
        stage: whose it is.
        title: the words over it.
        text: as it stands there.
        commands: in order; the whole text where no shell would find an end.
        comments: its lines that are comments, without the sign.
    """

    stage: int
    title: str
    text: str
    commands: tuple[str, ...]
    comments: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Output:
    """A page that the plan shows."""

    stage: int
    title: str
    lines: tuple[str, ...]


@functools.cache
def tests() -> tuple[PlanTest, ...]:
    """All tests of the plan, in its order."""
    found = []
    for block in code_blocks(_text(), "bash"):
        title = _TEST.fullmatch(block.title)
        if title:
            expected = re.findall(r"^# Verificar: (.+)$", block.text, re.MULTILINE)
            commands = commands_of(block.text)
            found.append(PlanTest(title[1], title[2], block.text, commands, " ".join(expected)))
    return tuple(found)


def commands_of(block: str) -> tuple[str, ...]:
    """The commands of a shell block."""
    commands = []
    held = ""
    for line in block.splitlines():
        if not held and (not line.strip() or line.lstrip().startswith("#")):
            continue
        held += line + "\n"
        if not line.endswith("\\") and _complete(held):
            commands.append(held.rstrip("\n"))
            held = ""
    if held:
        raise ValueError(f"a command of the plan does not end: {held}")
    return tuple(commands)


def filled(command: str) -> list[str]:
    """What stands in `<>` in a command: names for the reader to fill in."""
    return _FILLED.findall(command)


@functools.cache
def shown(stage: int) -> tuple[Block, ...]:
    """The shell blocks of a stage that are no tests, in their order."""
    return tuple(
        _block(stage, block.title, block.text)
        for block in code_blocks(_section(stage), "bash")
        if block.title and not _TEST.match(block.title)
    )


@functools.cache
def rollback(stage: int) -> Block:
    """The block of `**Etapa N - Rollback:**`."""
    title = f"Etapa {stage} - Rollback"
    for block in code_blocks(_text(), "bash"):
        if block.title == title:
            return _block(stage, title, block.text)
    raise ValueError(f"the plan has no rollback of stage {stage}")


def outputs(stage: int) -> list[Output]:
    """The pages that the plan shows in a stage."""
    return [
        Output(stage, block.title, tuple(block.text.rstrip("\n").splitlines()))
        for block in code_blocks(_section(stage), "")
        if block.title in _PAGES
    ]


def files_created(stage: int) -> list[str]:
    """The paths under `### Arquivos Criados:` of a stage."""
    listed = _section(stage).split("### Arquivos Criados:")[1].split("###")[0]
    return re.findall(r"^\d+\. `([^`]+)`", listed, re.MULTILINE)


def criteria(stage: int) -> list[str]:
    """The lines under `**Critérios de Aprovação:**` of a stage."""
    listed = _section(stage).split("**Critérios de Aprovação:**")[1].split("---")[0]
    return re.findall(r"^- \[ \] (.+)$", listed, re.MULTILINE)


def checkpoint_items() -> list[str]:
    """The seven items under `**✅ Sistema Funcionando:**`."""
    listed = _text().split("**✅ Sistema Funcionando:**")[1]
    return re.findall(r"^\d\. \[ \] (.+)$", listed.split("**Se QUALQUER")[0], re.MULTILINE)


def cron_lines(stage: int) -> list[str]:
    """The cron lines that a stage expects."""
    return re.findall(r"^\*\*Cron:\*\* `([^`]+)`", _section(stage), re.MULTILINE)


def _text() -> str:
    return PLAN.read_text(encoding="utf-8")


def _section(stage: int) -> str:
    text = _text()
    starts = {int(match[1]): match.start() for match in _STAGE.finditer(text)}
    return text[starts[stage] : starts.get(stage + 1, text.index("## 📊 Resumo"))]


def _block(stage: int, title: str, text: str) -> Block:
    comments = re.findall(r"(?:^|  )# ?(.+)$", text, re.MULTILINE)
    # An explained command, a comment behind each of its lines, ends nowhere for a shell.
    whole = bool(re.search(r"\\ +#", text))
    commands = (text.rstrip("\n"),) if whole else commands_of(text)
    return Block(stage, title, text, commands, tuple(comments))


def _complete(text: str) -> bool:
    # What stands in <> is for the reader to fill in, and no redirection.
    checked = subprocess.run(
        ["bash", "-n", "-c", _FILLED.sub("it", text)], capture_output=True, check=False
    )
    return checked.returncode == 0
