"""What a run of the plan found, row by row: as a page for people and as JSON for programs.

No row is written by hand. What the plan names and a run did not look at has no row, and a test
counts them; a result is what was seen, with a word on it only where the plan's cannot be kept.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from plan import plan_text

KINDS = {
    "test": ("Tests", ("test", "the plan expects", "checked")),
    "command": ("Commands", ("where", "command", "exit code")),
    "page": ("Pages", ("page", "lines of it", "compared with")),
    "file": ("Files", ("file", "there after", "kind")),
    "cron": ("Cron lines", ("line", "found", "beside it")),
    "rollback": ("Rollback", ("command", "exit code", "then, by the rollback's playbook")),
    "criterion": ("Approval criteria", ("criterion", "proved by")),
    "item": ("A working system", ("item", "shown by")),
    "outside": ("From outside, meanwhile", ("request", "how often")),
}
MARKS = {True: "✅", False: "❌", None: "⚠️"}
# What proves each approval criterion: rows of this page, by kind and the beginning of their name;
# or `availability`, that no request from outside failed.
PROOFS = {
    "Script executa sem erros": ("T1.1",),
    "Logs gerados corretamente": ("T1.2",),
    "Dashboard mostra informações corretas": ("T1.3",),
    "Cron job instalado e ativo": ("T1.4",),
    "Sistema ChefWell funcionando normalmente (login, PDV, produtos)": ("T1.5", "items"),
    "SSH conecta sem senha": ("T2.1",),
    "Sincronização manual funciona": ("T2.2", "T2.3"),
    "Backups verificados remotamente (mesma quantidade)": ("T2.4",),
    "Sincronização incremental funciona (delta transfer)": ("T2.5",),
    "Cron job instalado": ("T2.6",),
    "Sistema ChefWell funcionando normalmente": ("T2.7", "items"),
    "Logs sem erros": ("T2.7",),
    "Ambiente staging criado com sucesso": ("T3.1",),
    "Backup restaurado completamente": ("T3.2",),
    "Validação mostra 100% dos checks ✅": ("T3.3",),
    "API staging funciona corretamente": ("T3.4",),
    "Contagens de dados batem (prod vs staging)": ("T3.5",),
    "DR simulado funciona": ("T3.6",),
    "Staging limpo sem afetar produção": ("T3.7", "T3.8", "availability"),
    "Playbook de DR documentado": ("DISASTER-RECOVERY-PLAYBOOK.md",),
    "Sistema produção funcionando normalmente": ("T3.8", "items", "availability"),
}
_HEAD = """\
# The plan, line by line

Written by `tests/plan/test_plan.py`. It installs the three stages, one after the other, on a
server with a Docker Swarm in production and a backup server beside it. It takes every command
from the text of the owner's plan, runs it there as root without any change, and checks its
output. Do not edit this page: a run whose results differ rewrites it and fails.

Only what stands in `<>` in the plan is filled in, and for `psql` the address of staging
(`PGHOST`, `PGPORT`, `PGPASSWORD`). `app.chefwell.pro`, `api.chefwell.pro` and `backup.server.com`
are in the server's own `/etc/hosts`. Where the plan edits with `crontab -e`, the run uses an
editor that does the same.

✅ seen as the plan has it; ⚠️ run without any change, with another result than the plan's, for the
reason given; ❌ not seen.
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that the plan names, and what was seen of it.

    Attributes:
        stage: whose it is; 0 for all.
        kind: a key of `KINDS`.
        cells: what the columns of its table hold.
        passed: whether it was seen; None for what cannot be as the plan says.
        note: why not; only where `passed` is None.
    """

    stage: int
    kind: str
    cells: tuple[str, ...]
    passed: bool | None
    note: str = ""


@dataclasses.dataclass
class Coverage:
    """Rows of one run, with figures that differ from run to run."""

    rows: list[Row] = dataclasses.field(default_factory=list)
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)

    def add(
        self, stage: int, kind: str, *cells: str, passed: bool | None, note: str = ""
    ) -> bool | None:
        """One row more; gives back whether it passed.

        Raises:
            ValueError: a reason without need of one, or the other way round.
        """
        if (passed is None) != bool(note):
            raise ValueError(f"a reason stands where the plan cannot be kept, only: {cells}")
        self.rows.append(Row(stage, kind, cells, passed, note))
        return passed

    def of(self, kind: str, stage: int | None = None) -> list[Row]:
        """The rows of a kind, of one stage or of all."""
        return [
            row for row in self.rows if row.kind == kind and (stage is None or row.stage == stage)
        ]

    def judge_criteria(self, available: bool) -> None:
        """A row for every approval criterion, from what proves it."""
        items = self.of("item")
        whole = len(items) == len(plan_text.checkpoint_items()) and all(one.passed for one in items)
        for stage in plan_text.STAGES:
            for text in plan_text.criteria(stage):
                met = all(
                    available
                    if proof == "availability"
                    else whole
                    if proof == "items"
                    else self._seen(stage, proof)
                    for proof in PROOFS[text]
                )
                self.add(stage, "criterion", text, ", ".join(PROOFS[text]), passed=met)

    def _seen(self, stage: int, proof: str) -> bool:
        found = [
            row
            for row in self.rows
            if row.stage == stage
            and row.kind in ("test", "file")
            and (row.cells[0].startswith(proof) or row.cells[0].strip("`").endswith(proof))
        ]
        return len(found) == 1 and bool(found[0].passed)

    def lacking(self) -> list[str]:
        """What the plan names and no row of this run covers."""
        return [
            f"{kind} of stage {stage}: {len(self.of(kind, stage))} of {number}"
            for stage, kind, number in expected()
            if len(self.of(kind, stage)) != number
        ]

    def page(self) -> str:
        """The page, all but the figures."""
        lines = [_HEAD]
        for stage in (*plan_text.STAGES, 0):
            lines.append(f"## Stage {stage}\n" if stage else "## After every stage\n")
            for kind in KINDS:
                rows = self.of(kind, stage)
                if rows:
                    lines += _table(kind, rows)
        return "\n".join(lines)

    def write(self, results: Path) -> None:
        """All of it as JSON."""
        results.parent.mkdir(parents=True, exist_ok=True)
        held = {"rows": [dataclasses.asdict(row) for row in self.rows], **self.figures}
        results.write_text(json.dumps(held, indent=1, ensure_ascii=False), encoding="utf-8")


def expected() -> list[tuple[int, str, int]]:
    """How many rows there must be: stage, kind, number, counted in the plan's own text."""
    needed = []
    for stage in plan_text.STAGES:
        tests = [test for test in plan_text.tests() if test.stage == stage]
        shown = plan_text.shown(stage)
        needed += [
            (stage, "test", len(tests)),
            (stage, "command", sum(len(one.commands) for one in (*tests, *shown))),
            (stage, "page", len(plan_text.outputs(stage))),
            (stage, "file", len(plan_text.files_created(stage))),
            (stage, "cron", len(plan_text.cron_lines(stage))),
            (stage, "rollback", len(plan_text.rollback(stage).commands)),
            (stage, "criterion", len(plan_text.criteria(stage))),
        ]
    return [*needed, (0, "item", len(plan_text.checkpoint_items())), (0, "outside", 1)]


def rows_of(page: str) -> list[str]:
    """The rows of a page's tables, without their heads."""
    tables = re.findall(r"^\|(?:-+\|)+\n((?:\|.*\n)+)", page, re.MULTILINE)
    return [line for table in tables for line in table.splitlines()]


def different(committed: str, seen: str) -> list[str]:
    """What the committed page says otherwise than a run saw, one line each."""
    held, found = rows_of(committed), rows_of(seen)
    reported = [f"not seen any more: {line}" for line in held if line not in found]
    reported += [f"not in the page: {line}" for line in found if line not in held]
    return reported or (
        [] if committed == seen else ["the words around the tables, or their order"]
    )


def _table(kind: str, rows: list[Row]) -> list[str]:
    title, heads = KINDS[kind]
    lines = [f"### {title}\n", f"| {' | '.join(heads)} | result |"]
    lines.append("|" + "---|" * (len(heads) + 1))
    for row in rows:
        cells = [cell(text) for text in row.cells]
        mark = MARKS[row.passed] + (f" {cell(row.note)}" if row.note else "")
        lines.append(f"| {' | '.join(cells)} | {mark} |")
    return [*lines, ""]


def cell(text: str) -> str:
    """A text in a cell of a table."""
    return " ".join(text.replace("\\\n", " ").split()).replace("|", "\\|")


def code(command: str) -> str:
    """A command, or a path, as such."""
    return f"`` {command} ``" if "`" in command else f"`{command}`"
