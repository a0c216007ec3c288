"""Make the pictures of `docs/overview.md` from the demo (`make demo`) and from histories of tests.

python3 tools/pictures.py [FOLDER]   FOLDER: that of the demo, build/demo when left out
"""

from __future__ import annotations

import html
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
for folder in ("tests", "tools", "build/collections"):
    sys.path.insert(0, str(ROOT / folder))
from ansible_collections.chefwell.resilience.plugins.module_utils.common.language import (
    translations,
)
from ansible_collections.chefwell.resilience.plugins.module_utils.pages import status_html
from demo.layout import Layout
from docker_lab import needs
from support.status_hosts import NOW, fill_all, status

TERMINAL = """<!DOCTYPE html><meta charset="utf-8"><style>body {{ margin: 0; background: #10151b; }}
pre {{ margin: 0; padding: 24px; color: #e7ecf2; font: 15px/1.35 "DejaVu Sans Mono", monospace; }}
</style><pre>{}</pre>"""


def shoot(page: Path, name: str, width: int, height: int) -> None:
    """Take the picture of a page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        subprocess.run(
            [
                needs.program("chromium"),
                *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
                f"--screenshot={PICTURES / name}.png",
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    print(f"{name}.png: {(PICTURES / f'{name}.png').stat().st_size >> 10} KB")


def hosts_of_a_picture(held: Path) -> list[dict[str, Any]]:
    """Return twenty hosts, three of which need a look."""
    kinds = ["ok"] * 17 + ["warning", "late", "broken"]
    return [
        status(held / kind, f"shop{number:02d}.example.com") for number, kind in enumerate(kinds, 1)
    ]


def main() -> None:
    """Make all pictures."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "demo").resolve()
    layout = Layout(demo)
    PICTURES.mkdir(exist_ok=True)
    shoot(demo / "report.html", "report", 1200, 1100)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        page = work / "page.html"
        held = fill_all(work / "hosts")
        for name, hosts, height in (
            ("status", [status(held / "ok", "bistro.example.com")], 500),
            ("status-hosts", hosts_of_a_picture(held), 1400),
        ):
            # What happened is fixed in time: the page is shown as of then, without its script.
            text = status_html.status_page(translations("en"), hosts, "en", NOW, "Bistro")
            page.write_text(text.partition("<script>")[0], encoding="utf-8")
            shoot(page, name, 1200, height)
        dashboard = subprocess.run(
            [str(layout.scripts / "disk-status.sh")], capture_output=True, text=True, check=False
        ).stdout
        page.write_text(TERMINAL.format(html.escape(dashboard)), encoding="utf-8")
        shoot(page, "terminal", 820, 24 * (dashboard.count("\n") + 2))


if __name__ == "__main__":
    main()
