"""Writes `docs/findings.md` from the engine's own table of findings.

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

What a drill or `restore_validate` can find wrong. Each finding has an identifier that does not
change, a subject (`tenant_x.products`, a role, a file) and words. With one finding the check that
raised it has failed, and with it the drill: unless the configuration ignores it. Those that begin
with `previous`, and `collation.unlike_production`, prove nothing about a backup: they make their
check skipped, and what fell since the last drill is a warning to whoever is notified.

```yaml
staging_restore_ignore_findings:
  - finding: tenant.index_extra        # an identifier; * and ? stand for anything
    subject: tenant_chefwell.orders   # left out: whatever it is about
    reason: the owner's own report needs this index
```

A finding is ignored only with a reason of ten characters at least, and an identifier that nothing
has is an error. It stays in every report: its check is then skipped, never passed, so that the
confidence is below 100 %.

`tests/corpus` raises every one of them on a broken backup or database, and asks each healthy one,
dumped in four formats and restored on two PostgreSQL versions, whether it is silent: `pytest -s
tests/corpus` prints the rate of false ones, and `build/corpus/results.json` holds it.

The three verdicts are not findings. `passed`: restored and every answer right, but for what was
skipped. `failed`: at least one finding. `could_not_verify`: the place where it was tried broke (no
room, no programs, wrong credentials, an interruption), so nothing is claimed about the backup.

| identifier | meaning | remedy |
|---|---|---|
"""


def page() -> str:
    """The page's text."""
    from ansible_collections.chefwell.resilience.plugins.module_utils.checks import finding_kinds

    rows = [
        f"| `{name}` | {kind.meaning} | {kind.remedy} |"
        for name, kind in finding_kinds.KINDS.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Writes or checks."""
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write("docs/findings.md is not up to date: run python3 tools/findings.py\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
