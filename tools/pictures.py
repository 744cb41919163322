"""Writes the README's pictures: a report as a browser shows it, and the terminal of a real drill run.

python tools/pictures.py            needs Chromium, tmux and the drill's programs (about 1 minute)
python tools/pictures.py --report   the report alone, from docs/gallery/
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.checkout import make_checkout  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
COLUMNS, LINES = 100, 36
COMMAND = ("pytest", "--env=drill", "--rollback-to=5", "--rollback-reason=orders fail since 1.9.0")
# Before that, on a drill of its own: the bad revision is looked at, and the list says so.
KEEP = ("pytest", "--env=drill", "--drill-keep")
LIST, STOP = ("pytest", "--env=drill", "--rollback-list"), ("pytest", "--drill-stop")
FRAME = (
    "<body style='margin:0;background:{background}'>"
    "<pre style='margin:0;padding:18px 22px;display:inline-block;color:{foreground};"
    "font:14px/1.35 DejaVu Sans Mono,monospace'>{code}</pre>"
)


def picture_report(browser: Browser) -> None:
    """The first screen of the gallery's verified and failed records."""
    for name in ("verified", "failed"):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((ROOT / "docs" / "gallery" / f"{name}.html").as_uri())
        page.screenshot(path=PICTURES / f"report-{name}.png")
        page.close()


def picture_terminal(browser: Browser) -> None:
    """The revisions to choose from; then while the items of a rollback are judged, and the end."""
    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        terminal = Terminal(Path(folder))
        try:
            terminal.type(*KEEP)
            terminal.wait_for("Report: ")
            terminal.type(*LIST)
            revisions = terminal.wait_for("Next:")
            terminal.type(*STOP)
            terminal.wait_for("has ended")
            terminal.type(*COMMAND)
            during = terminal.wait_for(" judged; HELM RAN")
            after = terminal.wait_for("Report: ")
        finally:
            terminal.close()
    for name, screen in (("list", revisions), ("during", during), ("after", after)):
        page = browser.new_page(viewport={"width": 900, "height": 300})
        page.set_content(html_of(screen))
        page.locator("pre").screenshot(path=PICTURES / f"terminal-{name}.png")
        page.close()


class Terminal:
    """The operator's terminal: tmux, on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        make_checkout(folder)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._tmux = ["tmux", "-L", f"pictures-{os.getpid()}", "-f", os.devnull]
        shell = f"PS1='$ ' PATH={shlex.quote(path)} TMPDIR={shlex.quote(str(folder))} sh -i"
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, "-c", str(folder), shell], check=True, timeout=20
        )

    def type(self, *command: str) -> None:
        for line in ("clear", shlex.join(command)):
            subprocess.run([*self._tmux, "send-keys", line, "Enter"], check=True, timeout=20)
            time.sleep(0.5)

    def wait_for(self, words: str) -> str:
        deadline = time.monotonic() + 300
        while words not in (screen := self._capture()):
            if time.monotonic() > deadline:
                raise SystemExit(f"Waited 300 s in vain for {words!r}. The terminal shows:\n{screen}")
            time.sleep(0.2)
        time.sleep(1)
        return self._capture()

    def _capture(self) -> str:
        argv = [*self._tmux, "capture-pane", "-e", "-p"]
        return subprocess.run(argv, check=True, timeout=20, capture_output=True, text=True).stdout.rstrip()

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, timeout=20)


def html_of(screen: str) -> str:
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(screen), soft_wrap=True)
    return console.export_html(theme=MONOKAI, inline_styles=True, code_format=FRAME)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="only the report")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        picture_report(browser)
        if not options.report:
            picture_terminal(browser)
        browser.close()


if __name__ == "__main__":
    main()
