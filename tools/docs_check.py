"""Check the built documentation site: links, lists, nothing from elsewhere, no page too wide.

python3 tools/docs_check.py [--external]   with --external, also request each address elsewhere
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "docs" / "site"
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "build" / "collections"))
from support.browser import look
from testbed.engine import ResilienceError

WIDTHS = (320, 412, 1280)


class Page(HTMLParser):
    """The links, anchors and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element leads to, loads or names."""
        values = {key: value for key, value in attrs if value is not None}
        self.anchors |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.add(values.get("href", ""))
        elif "src" in values:
            self.loaded.add(values["src"])


# A list that does not begin with 1 was torn in two; a paragraph with the mark of an item is none.
TORN_LIST = re.compile(r'<ol start="[^"]*">|<p>(?:[^<]|<(?!/p>))*?\n(?:[-*]|\d+\.) \S[^\n]*')


def problems(site: Path, external: bool) -> list[str]:
    """Return what is wrong with the links and lists of the site."""
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    pages = {path: Page(text) for path, text in texts.items()}
    found = [
        f"{path.relative_to(site)}: a list is torn: {torn[0][-100:]!r}"
        for path, text in texts.items()
        for torn in TORN_LIST.finditer(text)
    ]
    elsewhere: set[str] = set()
    for path, page in sorted(pages.items()):
        name = path.relative_to(site)
        for link in sorted(page.links | page.loaded):
            parts = urllib.parse.urlsplit(link)
            if parts.scheme in ("http", "https"):
                if link in page.loaded:
                    found.append(f"{name}: loads {link}")
                elsewhere.add(link)
            elif not parts.scheme and path.name != "404.html":
                target = path.parent / urllib.parse.unquote(parts.path) if parts.path else path
                target = target.resolve()
                if target.is_dir():
                    target /= "index.html"
                if not target.exists():
                    found.append(f"{name}: {link} leads nowhere")
                elif parts.fragment and target in pages:
                    anchor = urllib.parse.unquote(parts.fragment)
                    if anchor not in pages[target].anchors and anchor != "__top":
                        found.append(f"{name}: {link} has no such place")
    for link in sorted(elsewhere) if external else ():
        problem = unreachable(link)
        if problem:
            found.append(f"{link}: {problem}")
    return found


def unreachable(link: str) -> str:
    """Return why an address elsewhere does not respond; empty where it does."""
    request = urllib.request.Request(link, headers={"User-Agent": "chefwell.resilience docs"})
    try:
        with urllib.request.urlopen(request, timeout=20):
            return ""
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def main() -> int:
    """Print what is wrong; return 1 if anything is."""
    found = problems(SITE, "--external" in sys.argv)
    pages = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))
    try:
        seen = look(SITE, pages, WIDTHS)
    except ResilienceError as error:
        print(f"no page was looked at: {error}", file=sys.stderr)
        return 1
    for one in seen:
        if one["scroll"] > one["width"] or one["wide"]:
            found.append(
                f"{one['page']}: {one['scroll']} wide at {one['width']}: {one['wide'][:1]}"
            )
    print("\n".join(found) or f"{len(pages)} pages: every link leads somewhere, none is too wide")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
