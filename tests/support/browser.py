"""Pages in a real browser: how wide they are at a width, and what their script made of them."""

from __future__ import annotations

import contextlib
import functools
import html
import json
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from docker_lab import needs

# The widths of a phone, a tablet and a laptop.
WIDTHS = (412, 800, 1200)
# Each page in a frame of each width, six at a time; the document that is printed has it all.
_PROBE = """<!DOCTYPE html><meta charset="utf-8"><body><pre id="result">running</pre><script>
const jobs = JOBS, found = [];
let begun = 0, ended = 0;
function next() {
  if (ended === jobs.length) {
    document.getElementById("result").textContent = JSON.stringify(found);
  }
  if (begun === jobs.length) { return; }
  const number = begun++;
  const [page, width] = jobs[number], frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.onload = () => setTimeout(() => {
    const held = frame.contentDocument, root = held.documentElement;
    const scrolls = "pre, code, .scroll, .md-typeset__scrollwrap, nav, [hidden]";
    const inner = (one) => one.closest(scrolls);
    const wide = [...held.body.querySelectorAll("*")]
      .filter((one) => one.getBoundingClientRect().right > width + 1 && !inner(one))
      .map((one) => one.outerHTML.slice(0, 120));
    found[number] = {page, width, scroll: Math.max(root.scrollWidth, held.body.scrollWidth),
      title: held.title, header: (held.querySelector("header") || {}).className || "",
      h1: [...held.querySelectorAll("h1")].map((one) => one.textContent.trim()),
      words: [...held.querySelectorAll(".word")].map((one) => one.textContent),
      height: root.scrollHeight,
      groups: [...held.querySelectorAll("details.group")].map((one) =>
        [one.className, one.firstElementChild.innerText]),
      ages: [...held.querySelectorAll("time")].map((one) => one.textContent),
      wide: wide.slice(0, 3)};
    frame.remove();
    ended++;
    next();
  }, 60);
  frame.src = page;
  document.body.append(frame);
}
for (let lane = 0; lane < 6; lane++) { next(); }
</script>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Print no line for each request."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file; a frame that is closed already takes no more of it."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)


def look(
    folder: Path, pages: Sequence[str], widths: Sequence[int] = WIDTHS, text_size: int = 16
) -> list[dict[str, Any]]:
    """Return what a browser makes of pages at each width.

    Args:
        folder: is served over HTTP on loopback.
        pages: paths in it.
        widths: in CSS pixels.
        text_size: that the reader has chosen in the browser, in CSS pixels.

    Returns:
        For each page and width: `scroll`, as wide as the page is; `wide`, elements that reach
        beyond the width; its `height`; and `title`, `h1`, the classes of its `header`, `words`,
        `ages`, and class and summary of its folded `groups`.
    """
    jobs = [[f"/{page}", width] for page in pages for width in widths]
    probe = folder / "probe-of-the-test.html"
    probe.write_text(_PROBE.replace("JOBS", json.dumps(jobs)), encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            address = f"http://127.0.0.1:{server.server_port}/{probe.name}"
            text = _dump(address, profile, len(jobs), text_size)
    finally:
        server.shutdown()
        probe.unlink()
    match = re.search(r'<pre id="result">(.*?)</pre>', text, re.DOTALL)
    assert match and match[1] != "running", f"the browser did not come to the end: {text[:500]}"
    found: list[dict[str, Any]] = json.loads(html.unescape(match[1]))
    assert len(found) == len(jobs)
    return found


def _dump(address: str, profile: str, jobs: int, text_size: int) -> str:
    return subprocess.run(
        [
            needs.program("chromium"),
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", f"--user-data-dir={profile}", "--window-size=1400,1000"),
            f"--blink-settings=defaultFontSize={text_size}",
            f"--virtual-time-budget={5_000 + 250 * jobs}",
            *("--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120 + jobs,
    ).stdout
