"""Widgets move: every lesson that has one is opened in JupyterLab, in a real browser.

    make test-browser

TOKENS_SCREENSHOTS=FOLDER keeps a picture of each widget before and after, to be looked at.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lib.course.build import BLANK, sources

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LESSONS = [p.stem for p in sources([]) if "explore(" in p.read_text(encoding="utf-8")]
PATIENCE = 200
"""Seconds until a lesson has run from top to bottom."""
NOTHING_WAITS = """() => ![...document.querySelectorAll('.jp-InputPrompt')]
    .some(prompt => prompt.textContent.includes('[*]'))"""
"""No cell runs or is about to: the kernel is idle between two cells as well."""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a headless browser."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt install chromium, or use another machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser.new_page(viewport={"width": 1200, "height": 1000})
        browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    """A JupyterLab on a folder of its own: (the folder, its address, its token)."""
    root = tmp_path_factory.mktemp("lab")
    settings = root / "settings"
    for plugin, values in {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }.items():
        file = settings / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    folder = root / "lessons"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", f"--ServerApp.root_dir={folder}"]
    space = {
        **{key: value for key, value in os.environ.items() if key != "TOKENS_LIB"},
        "TOKENS_WORKBOOK": str(root / "workbook"),
        "TOKENS_SHORT": "1",
        "JUPYTER_TOKEN": token,
        "JUPYTER_CONFIG_DIR": str(root / "config"),
        "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
        "IPYTHONDIR": str(root / "ipython"),
    }
    address = f"http://127.0.0.1:{port}"
    with (root / "log").open("w") as log:
        server = subprocess.Popen(command, env=space, stdout=log, stderr=log)
    try:
        for _ in range(240):
            if server.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5)
                break
            except OSError:
                time.sleep(0.25)
        assert server.poll() is None, (root / "log").read_text()[-3000:]
        yield folder, address, token
    finally:
        server.terminate()
        server.wait(30)


def picture(page: Any, name: str) -> None:
    """Keep a picture of the widget, if someone wants to look at it."""
    folder = os.environ.get("TOKENS_SCREENSHOTS")
    if folder:
        page.locator(".token-by-token").first.screenshot(path=f"{folder}/{name}.png")


def shown(page: Any) -> str:
    """What stands below the controls, as HTML."""
    return str(page.locator(".token-by-token .widget-html-content").first.inner_html())


def wait_for_change(page: Any, before: str, seconds: float) -> str:
    """What is shown after a change; the same as before if there was none in time."""
    for _ in range(int(seconds * 10)):
        if (now := shown(page)) != before:
            return now
        page.wait_for_timeout(100)
    return before


def says_what_it_shows(page: Any, drawn: str) -> str:
    """A figure arrives and has an alternative text; returns it. HTML speaks for itself."""
    if "<img" not in drawn:
        return re.sub(r"<[^>]+>", "", drawn)
    image = page.locator(".token-by-token img").first
    assert image.evaluate("i => i.complete && i.naturalWidth") > 100, "the picture arrives"
    alt = image.get_attribute("alt")
    assert alt and len(alt.split()) >= 5
    return str(alt)


def test_there_is_a_widget_to_test() -> None:
    assert LESSONS


def run_all(stem: str, lab: tuple[Path, str, str], page: Any) -> None:
    """Open a blank lesson and run all of its cells."""
    folder, address, token = lab
    shutil.copy(BLANK / f"{stem}.ipynb", folder)
    page.goto(f"{address}/lab/tree/{stem}.ipynb?token={token}&reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    page.get_by_text("(ipykernel) | Idle").first.wait_for(timeout=60_000)
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()


@pytest.mark.parametrize("stem", LESSONS)
def test_widget(stem: str, lab: tuple[Path, str, str], page: Any, capsys: Any) -> None:
    start = time.perf_counter()
    run_all(stem, lab, page)
    box = page.locator(".token-by-token").first
    box.wait_for(timeout=PATIENCE * 1000)
    page.wait_for_function(NOTHING_WAITS, timeout=PATIENCE * 1000)
    box.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    drawn = shown(page)
    words = {says_what_it_shows(page, drawn)}
    picture(page, f"{stem}_0")

    sliders, texts = box.locator(".noUi-handle"), box.locator("input[type=text]")
    assert sliders.count() + texts.count() >= 1
    for number in range(sliders.count()):
        before = drawn
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Home", "End"):
            if drawn == before:  # one step need not make a difference
                sliders.nth(number).focus()
                page.keyboard.press(key)
                drawn = wait_for_change(page, before, 5)
        assert drawn != before, f"slider {number} was moved, and the picture stayed as it was"
        words.add(says_what_it_shows(page, drawn))
        picture(page, f"{stem}_slider_{number}")
    for number in range(texts.count()):
        before = drawn
        texts.nth(number).fill("Words that nobody wrote")
        drawn = wait_for_change(page, before, 10)
        assert drawn != before, f"text {number} was changed, and the picture stayed as it was"
        words.add(says_what_it_shows(page, drawn))
        picture(page, f"{stem}_text_{number}")
    assert len(words) > 1, "what is said about the picture changes with it"
    with capsys.disabled():
        print(f"\n{stem}: widget moved after {time.perf_counter() - start:.0f} s")


def test_talk(lab: tuple[Path, str, str], page: Any, capsys: Any) -> None:
    """The first lesson's assistant answers in the notebook, and forgets on request; its sister
    thinks when the switch is on."""
    stem = sources([])[0].stem
    start = time.perf_counter()
    run_all(stem, lab, page)
    window = page.locator(".token-by-token-talk").first
    window.wait_for(timeout=PATIENCE * 1000)
    seconds = time.perf_counter() - start
    window.scroll_into_view_if_needed()
    said = window.locator(".widget-html-content").first
    field = window.locator("input[type=text]").first
    field.fill("Who are you?")
    field.press("Enter")
    said.get_by_text("I am Mini").first.wait_for(timeout=20_000)
    folder = os.environ.get("TOKENS_SCREENSHOTS")
    if folder:
        window.screenshot(path=f"{folder}/{stem}_talk.png")
    window.get_by_text("Begin again").first.click()
    page.wait_for_timeout(500)
    assert said.inner_text().strip() == ""

    window = page.locator(".token-by-token-talk").nth(1)
    said, field = window.locator(".widget-html-content").first, window.locator("input").first
    window.get_by_text("Think first").first.click()
    field.fill(
        "Rita had 14 eggs. She lost 2 eggs on the way home. How many eggs does Rita have now?"
    )
    field.press("Enter")
    said.get_by_text("14 - 2 = 12").first.wait_for(timeout=20_000)
    if folder:
        window.screenshot(path=f"{folder}/{stem}_think.png")
    with capsys.disabled():
        print(f"\n{stem}: somebody to talk to after {seconds:.0f} s")
    assert seconds < 60, "20 on a quiet machine"
