"""Write `docs/findings.md` from the kinds of findings of the engine.

python3 tools/findings.py          write the page
python3 tools/findings.py --check  change nothing; fail when the page is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "findings.md"
sys.path.insert(0, str(ROOT / "build" / "collections"))

HEAD = """# Findings

What a drill or `restore_validate` can find wrong. A finding has an identifier that does not
change, a subject (`tenant_x.products`, a role, a file) and a text. A check with a finding has
failed, and the drill with it, unless the configuration ignores the finding. Findings that begin
with `previous`, and `collation.unlike_production`, prove nothing about a backup: they make their
check skipped. A drop since the last drill is sent as a warning.

```yaml
staging_restore_ignore_findings:
  - finding: tenant.index_extra       # an identifier; * and ? match anything
    subject: tenant_chefwell.orders   # optional; without it, every subject
    reason: the owner's own report needs this index
```

A reason of at least ten characters is required, and an identifier that matches no finding is an
error. An ignored finding stays in every report: its check is skipped, never passed, so the
confidence is below 100 %.

`tests/corpus` raises every finding on a broken backup or database. It also validates healthy
backups, dumped in four formats and restored on two PostgreSQL versions, which must raise none.
`pytest -s tests/corpus` prints the rate of false findings and writes it to
`build/corpus/results.json`.

The three verdicts are not findings. `passed`: restored, and every check passed or was skipped.
`failed`: at least one finding. `could_not_verify`: the place of the restore failed (no room, no
programs, wrong credentials, an interruption), so nothing is claimed about the backup.

| identifier | meaning | remedy |
|---|---|---|
"""


def page() -> str:
    """Return the text of the page."""
    from ansible_collections.chefwell.resilience.plugins.module_utils.checks import finding_kinds

    rows = [
        f"| `{name}` | {kind.meaning} | {kind.remedy} |"
        for name, kind in finding_kinds.KINDS.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Write or check the page; return the exit code."""
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write("docs/findings.md is not up to date: run python3 tools/findings.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
