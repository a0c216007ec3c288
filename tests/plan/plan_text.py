"""Reads the owner's plan: its tests T1.1 to T3.8, word for word, and what else it names.

A test is a heading such as `**T1.4 - Cron Job Instalado:**` with one shell block after it. A block
is cut into commands where a shell would: at the end of a line that completes one.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

PLAN = Path(__file__).resolve().with_name("implementation-plan.pt-BR.md")
_TEST = re.compile(r"^\*\*(T\d\.\d) - (.+?):\*\*\n```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STAGE = re.compile(r"^## 🎯 ETAPA (\d):", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class PlanTest:
    """One test of the plan.

    Attributes:
        id: such as `T1.4`.
        title: the plan's.
        block: the shell block, as it stands there.
        commands: its commands in order, without comments.
        expected: what its `# Verificar:` line asks to see; empty if there is none.
    """

    id: str
    title: str
    block: str
    commands: tuple[str, ...]
    expected: str


def tests() -> list[PlanTest]:
    """All tests of the plan, in its order."""
    found = []
    for match in _TEST.finditer(PLAN.read_text(encoding="utf-8")):
        expected = re.findall(r"^# Verificar: (.+)$", match[3], re.MULTILINE)
        found.append(
            PlanTest(match[1], match[2], match[3], commands_of(match[3]), " ".join(expected))
        )
    return found


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


def _complete(text: str) -> bool:
    # What stands in <> is for the reader to fill in, and no redirection.
    text = re.sub(r"<([\w-]+)>", r"\1", text)
    checked = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)
    return checked.returncode == 0


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
    listed = PLAN.read_text(encoding="utf-8").split("**✅ Sistema Funcionando:**")[1]
    return re.findall(r"^\d\. \[ \] (.+)$", listed.split("**Se QUALQUER")[0], re.MULTILINE)


def cron_lines(stage: int) -> list[str]:
    """The cron lines that a stage asks for."""
    return re.findall(r"^\*\*Cron:\*\* `([^`]+)`", _section(stage), re.MULTILINE)


def _section(stage: int) -> str:
    text = PLAN.read_text(encoding="utf-8")
    starts = {int(match[1]): match.start() for match in _STAGE.finditer(text)}
    return text[starts[stage] : starts.get(stage + 1, text.index("## 📊 Resumo"))]
