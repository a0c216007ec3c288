"""Write the tables of options in the roles' READMEs from their argument specifications.

python3 tools/role_options.py          write the tables
python3 tools/role_options.py --check  change nothing; fail when a table is not up to date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- options: written by tools/role_options.py -->\n", "<!-- end of the options -->\n"
HEAD = "| option | type | default | meaning |\n|---|---|---|---|\n"


def table(options: dict[str, Any]) -> str:
    """Return the table of options of a specification, suboptions after their option."""
    return HEAD + "".join(f"{line}\n" for line in _rows(options, ""))


def _rows(options: dict[str, Any], prefix: str) -> list[str]:
    rows = []
    for name, option in options.items():
        kind = option["type"]
        if "elements" in option:
            kind += f" of {option['elements']}"
        default = "required" if option.get("required") else _default(option)
        rows.append(f"| `{prefix}{name}` | {kind} | {default} | {_meaning(option)} |")
        inner = f"{prefix}{name}[]." if option["type"] == "list" else f"{prefix}{name}."
        rows += _rows(option.get("options", {}), inner)
    return rows


def _default(option: dict[str, Any]) -> str:
    if "default" not in option:
        return ""
    text = yaml.safe_dump(option["default"], default_flow_style=True, width=10**6).strip()
    return f"`{text.removesuffix('...').strip()}`".replace("|", "\\|")


def _meaning(option: dict[str, Any]) -> str:
    parts = option["description"]
    text = " ".join([parts] if isinstance(parts, str) else parts)
    if "choices" in option:
        text += f" One of {', '.join(f'`{one}`' for one in option['choices'])}."
    text = re.sub(r"\b[CVO]\(([^()]*(?:\([^()]*\)[^()]*)*)\)", r"`\1`", text)
    return " ".join(text.split()).replace("|", "\\|")


def page(readme: str, options: dict[str, Any]) -> str:
    """Return a README with its table of options.

    Raises:
        ValueError: the README has no place for it.
    """
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"no {BEGIN.strip()} and {END.strip()}")
    before, rest = readme.split(BEGIN)
    return before + BEGIN + "\n" + table(options) + "\n" + END + rest.split(END)[1]


def main() -> int:
    """Write the tables, or only check them; return the exit code."""
    stale = []
    for specification in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        readme = specification.parents[1] / "README.md"
        read = yaml.safe_load(specification.read_text(encoding="utf-8"))
        text = readme.read_text(encoding="utf-8")
        made = page(text, read["argument_specs"]["main"]["options"])
        if made != text:
            stale.append(readme.relative_to(ROOT))
            if "--check" not in sys.argv[1:]:
                readme.write_text(made, encoding="utf-8")
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path}: out of date; run tools/role_options.py", file=sys.stderr)
        return 1 if stale else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
